"""Damaged sound files, HTTP streams and cameras, given to the monitor.  Exit 1 if one is a fault.

Each case must end in sound or in one `SourceError` of one printable line, within `CASE_SECONDS`; the process
must do with `MEMORY_BYTES` of addresses and `RESIDENT_BYTES` of memory.  A seed always makes the same cases::

    python -m benchmarks.fuzz_media [--seed 24] [--count 500 | --minutes 5] [files] [http] [rtsp]

The last line is a JSON object: the cases, and how they ended.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import functools
import json
import logging
import random
import resource
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import av.logging
import numpy as np

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.ffmpeg import connection, open_file, open_stream
from monitor.audio.sources.source_context import SourceContext
from monitor.config import Address, SourceConfig
from monitor.types import AudioBlock, SourceError
from tests.support.camera import Camera
from tests.support.odd_media import cases, odd

RATE = 16_000
CASE_SECONDS = 60
MEMORY_BYTES = 4 << 30
RESIDENT_BYTES = 1 << 30
PATIENCE_SECONDS = 1.0
"""For servers that hang, instead of the monitor's own."""

LONGEST_LINE = 500
SHARE = {"files": 200, "http": 5, "rtsp": 3}
"""Cases of each kind in a round of a run that is measured in minutes."""


class Fuzz:
    """Runs cases, and counts what becomes of them."""

    def __init__(self, directory: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._directory = directory

    def files(self, seed: str, count: int) -> None:
        """Let files be heard."""
        for number, name, content in cases(seed, count):
            path = self._directory / f"odd.{name}"
            path.write_bytes(content)
            self._case(f"files {seed} {number} {name}", functools.partial(_blocks_of_file, path))

    def http(self, seed: str, count: int) -> None:
        """Let a server send the same."""
        with _Server() as server:
            for number, name, content in cases(seed, count):
                server.content = content
                url = f"http://127.0.0.1:{server.port}/live.{name}"
                self._case(f"http {seed} {number} {name}", functools.partial(_blocks_of_stream, url))

    def rtsp(self, seed: str, count: int) -> None:
        """Let a camera answer and send what is not right."""
        for number in range(count):
            chance = random.Random(f"{seed} {number}")
            rarely = chance.choice([0.02, 0.2, 0.5])

            def garble(content: bytes, chance: random.Random = chance, rarely: float = rarely) -> bytes:
                return odd(chance, content, [content]) if content and chance.random() < rarely else content

            with Camera(garble=garble) as camera:
                self._case(f"rtsp {seed} {number}", functools.partial(_blocks_of_stream, camera.url))

    def _case(self, what: str, blocks: Callable[[], Iterable[AudioBlock]]) -> None:
        faulthandler.dump_traceback_later(CASE_SECONDS, exit=True)
        heard = False
        try:
            for block in blocks():
                heard = True
                if block.samples.dtype != np.float32 or len(block.samples) > RATE:
                    self._fault(what, f"a block of {len(block.samples)} {block.samples.dtype}")
            self.counts["heard"] += 1
        except SourceError as error:
            if not str(error).isprintable() or len(str(error)) > LONGEST_LINE:
                self._fault(what, f"says {str(error)!r}")
            self.counts["heard, then refused" if heard else "refused"] += 1
        except Exception:  # noqa: BLE001 - what is looked for
            self._fault(what, traceback.format_exc())
        finally:
            faulthandler.cancel_dump_traceback_later()
        self.counts["cases"] += 1

    def _fault(self, what: str, why: str) -> None:
        self.counts["faults"] += 1
        print(f"{what}: {why}", flush=True)


def _blocks_of_file(path: Path) -> Iterator[AudioBlock]:
    status = SourceStatus("odd")
    config = SourceConfig(name="odd", kind="file", path=path, pace="fast")
    return open_file(config, SourceContext(RATE, status, threading.Event()))


def _blocks_of_stream(url: str) -> Iterator[AudioBlock]:
    """Yield what is heard for a while."""
    stop, status = threading.Event(), SourceStatus("odd")
    timer = threading.Timer(2 * PATIENCE_SECONDS, stop.set)
    timer.start()
    blocks = open_stream(Address(url), None, SourceContext(RATE, status, stop, required=True))
    try:
        yield from blocks
    finally:
        timer.cancel()


class _Server:
    """A context manager that sends its content at once to anyone."""

    def __enter__(self) -> Self:
        self.content = b""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):  # the listener has gone
                    self.wfile.write(owner.content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def main() -> int:
    """Run, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="files|http|rtsp")
    parser.add_argument("--seed", default="24")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--minutes", type=float)
    given = parser.parse_args()
    if unknown := set(given.kinds) - set(SHARE):
        parser.error(f"no such kind: {min(unknown)}")
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    connection.OPEN_SECONDS = connection.READ_SECONDS = PATIENCE_SECONDS
    av.logging.set_level(av.logging.PANIC)
    logging.disable(logging.WARNING)
    began, rounds = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as directory:
        fuzz = Fuzz(Path(directory))
        while rounds == 0 or (given.minutes and time.monotonic() - began < 60 * given.minutes):
            for kind in given.kinds or SHARE:
                count = SHARE[kind] if given.minutes else given.count
                getattr(fuzz, kind)(f"{given.seed}.{rounds}", count)
            rounds += 1
    peak = peak_bytes()
    done = {"seed": given.seed, **fuzz.counts, "faults": fuzz.counts["faults"]}
    print(
        json.dumps(
            {**done, "minutes": round((time.monotonic() - began) / 60, 1), "peak_megabytes": peak >> 20}
        )
    )
    return 1 if fuzz.counts["faults"] or peak > RESIDENT_BYTES else 0


def peak_bytes() -> int:
    """Return the most memory that this program had; `resource` counts that of the process which began it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return 1024 * int(peak)


if __name__ == "__main__":
    sys.exit(main())
