"""Live sources that one process carries.  Exit 1 if a window is left out or events are late.

A real daemon with the starter listens to recordings at the pace of time, one source each, and tells a real
mosquitto::

    python -m benchmarks.many_sources [--sources 25] [--hop 1] [--seconds 60] [--streams]
                                      [--on store clips web] [--model CHECKPOINT | full-size]

With ``--on web`` somebody watches the page.  ``full-size``
is the size and shape of ``laion/larger_clap_general``, with random weights.

The sources begin one after the other within a hop, as the daemon starts them.  With ``--streams`` they are
connections to an HTTP server.  Lateness depends on what else the machine does (``chrt --rr 10`` before the
command takes that away); the processor time for each source, measured beside it, hardly does.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from monitor.config import Config, LabelConfig, SourceConfig
from monitor.daemon.build import build
from monitor.daemon.daemon import Daemon
from monitor.detection.engine import AudioEncoder
from monitor.types import Embeddings, Event, Scores
from tests.support.broker import Broker, Subscriber, eventually, free_port
from tests.support.http_radio import Radio
from tests.support.observer import Observer

DEMO = Path("recordings/demo.flac")
WARM_SECONDS = 10.0
"""Not measured: the start, when all files are opened at once."""

MOST_LATE_SECONDS, MOST_LATE_SECONDS_OF_MANY = 0.3, 0.5
FEW = 25
"""Sources from which the second limit holds."""

FULL_SIZE = "full-size"
OUTPUTS = ("store", "clips", "web")
LABELS = ("a dog barking", "a rooster crowing", "a fire crackling", "a car horn", "people cheering")


def main() -> int:
    """Measure, print, and judge."""
    arguments = _arguments()
    if arguments.listen:
        return listen(arguments)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with (
            Broker(place) as broker,
            Subscriber(broker, "clap-monitor/+/+/event") as subscriber,
            radio(arguments) as address,
        ):
            if arguments.model == FULL_SIZE:
                in_another_process(build_apart, place / FULL_SIZE)
            command = [sys.executable, "-m", "benchmarks.many_sources", *sys.argv[1:], *address]
            subprocess.run([*command, "--listen", str(broker.port), directory], check=True)
            found = json.loads((place / "found.json").read_text())
            news = subscriber.messages()
    return report(found, [json.loads(message.text) for message in news], arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sources", type=int, default=25)
    parser.add_argument("--hop", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--streams", action="store_true")
    parser.add_argument("--on", nargs="*", default=[], choices=OUTPUTS)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--model", default="starter", metavar="CHECKPOINT")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--listen", nargs=2, metavar=("PORT", "DIRECTORY"), help=argparse.SUPPRESS)
    return parser.parse_args()


def configuration(arguments: argparse.Namespace, port: int, place: Path) -> Config:
    """As many sources as are asked for, of recordings that all differ, and labels that are heard often."""
    demo, rate = soundfile.read(DEMO, dtype="float32")
    seconds = arguments.seconds + 5 * WARM_SECONDS
    sources: list[dict[str, Any]] = []
    for number in range(arguments.sources):
        path = place / f"{number}.flac"
        soundfile.write(path, np.resize(np.roll(demo, number * rate), round(seconds * rate)), rate)
        sources.append({"name": f"s{number}", "kind": "file", "path": path})
    if arguments.streams:
        sources = [{"name": each["name"], "kind": "stream", "url": arguments.url} for each in sources]
    keys: dict[str, Any] = {"threshold": 0.3, "cooldown_seconds": 0, "merge_gap_seconds": 0}
    labels = tuple(
        LabelConfig(id=text.replace(" ", "_"), prompts=(text,), max_duration_seconds=3, **keys)
        for text in LABELS
    )
    model = str(place / FULL_SIZE) if arguments.model == FULL_SIZE else arguments.model
    outputs: dict[str, dict[str, Any]] = {name: {"enabled": True} for name in arguments.on}
    if "web" in outputs:
        outputs["web"]["port"] = free_port()
    return Config.model_validate(
        {
            "model": {"checkpoint": model, "threads": arguments.threads},
            "sources": [SourceConfig.model_validate(each) for each in sources],
            "labels": labels,
            "window": {"hop_seconds": arguments.hop},
            "mqtt": {"host": "127.0.0.1", "port": port},
            "state": place / "state",
            "recordings": place / "recordings",
            **outputs,
        }
    )


@contextmanager
def radio(arguments: argparse.Namespace) -> Iterator[list[str]]:
    """Serve what streams are to be heard; what the daemon's command is to be told of it."""
    if not arguments.streams:
        yield []
        return
    demo, rate = soundfile.read(DEMO, dtype="float32")
    seconds = arguments.seconds + 5 * WARM_SECONDS
    file = io.BytesIO()
    soundfile.write(file, np.resize(demo, round(seconds * rate)), rate, format="WAV")
    with Radio("wav", content=(file.getvalue(), seconds), apart=arguments.hop / arguments.sources) as server:
        yield ["--url", server.url()]


def listen(arguments: argparse.Namespace) -> int:
    """Run the daemon, and write down what only it knows."""
    port, place = int(arguments.listen[0]), Path(arguments.listen[1])
    config = configuration(arguments, port, place)
    tower_seconds = 0.0

    def timed(tower: AudioEncoder) -> AudioEncoder:
        def embed(spectrograms: NDArray[np.float32]) -> Embeddings:
            nonlocal tower_seconds
            begin = time.thread_time()
            embeddings = tower(spectrograms)
            tower_seconds += time.thread_time() - begin
            return embeddings

        return embed

    daemon = Daemon(build(config, around=timed))
    newest: dict[str, float] = {}
    scored: list[float] = []
    confirmed: dict[str, float] = {}
    measures = threading.Event()

    def on_scores(scores: Scores) -> None:
        newest[scores.source] = scores.ended_at
        if measures.is_set():
            scored.append(time.time() - scores.ended_at)

    def on_event(event: Event, _: LabelConfig) -> None:
        if measures.is_set() and event.stop is None:
            confirmed[event.id] = newest[event.source]

    found: dict[str, Any] = {}

    def watch() -> None:
        eventually(lambda: len(newest) == arguments.sources, 300)
        watcher = watch_page(config.web.port) if "web" in arguments.on else None
        time.sleep(WARM_SECONDS)
        before, late, at, tower = _processor_seconds(), _windows_late(daemon), time.monotonic(), tower_seconds
        measures.set()
        time.sleep(arguments.seconds)
        measures.clear()
        took, after = time.monotonic() - at, _processor_seconds()
        found.update(
            seconds=took,
            threads={name: after[name] - before.get(name, 0.0) for name in after},
            tower=tower_seconds - tower,
            late=_windows_late(daemon) - late,
            lost=sum(status.lost for status in daemon.parts.status.values()),
            memory=memory_mb("VmRSS"),
            peak=memory_mb("VmHWM"),
        )
        if watcher is not None:
            watcher.kill()
            watcher.wait()
        time.sleep(1)  # for the last of the events to be told
        daemon.stop()

    threading.Thread(target=watch, daemon=True).start()
    daemon.run(Observer(on_event, on_scores))
    (place / "found.json").write_text(json.dumps({**found, "scored": scored, "confirmed": confirmed}))
    return 0


def _windows_late(daemon: Daemon) -> int:
    return sum(status.late for status in daemon.parts.status.values())


def _processor_seconds() -> dict[str, float]:
    """Processor time of each kind of thread so far; those of sources are counted together."""
    used: dict[str, float] = defaultdict(float)
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    ticks = os.sysconf("SC_CLK_TCK")
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            name = names.get(int(task.name), "other").split()[0]
            used[name] += (int(fields[11]) + int(fields[12])) / ticks
    return dict(used)


def memory_mb(what: str, process: int | str = "self") -> float:
    """What Linux says of a process: ``VmRSS``, resident now, or ``VmHWM``, the most that ever was."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024 / 1e6


def in_another_process(build: Callable[[Path], object], directory: Path) -> None:
    """Build something whose memory is not to be measured."""
    child = multiprocessing.get_context("spawn").Process(target=build, args=(directory,))
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError(f"{directory}: not built, exit code {child.exitcode}")


def build_apart(directory: Path) -> None:
    """Write the checkpoint of full size; what that takes to import is imported only here."""
    from benchmarks.full_size import build_full_size

    build_full_size(directory)


def watch_page(port: int) -> subprocess.Popen[bytes]:
    """Read the event stream of the page, as a browser does that shows it."""
    command = ["curl", "--silent", "--no-buffer", f"http://127.0.0.1:{port}/api/live?view=s0"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def report(found: dict[str, Any], news: list[dict[str, Any]], arguments: argparse.Namespace) -> int:
    """Print what was found; 1 if it is not good enough."""
    sources, seconds = arguments.sources, found["seconds"]
    # From the end of the window that decided to the moment at which it was handed to the broker's connection.
    told = [
        message["published_at"] - found["confirmed"][message["event_id"]]
        for message in news
        if message["phase"] == "start" and message["event_id"] in found["confirmed"]
    ]
    windows = len(found["scored"])
    print(f"{sources} sources, hop {arguments.hop:g} s, {seconds:.0f} s, {os.cpu_count()} processors")
    print(f"windows: {windows} scored, {found['late']} late; samples lost: {found['lost']}")
    for what, late in (("scored", found["scored"]), ("told", told)):
        median, high, worst = np.percentile(late, [50, 95, 100]) if late else (np.nan,) * 3
        print(f"from the end of a window until it is {what}: median {1000 * median:.0f} ms, ", end="")
        print(f"95 % within {1000 * high:.0f} ms, at most {1000 * worst:.0f} ms ({len(late)})")
    total = sum(found["threads"].values())
    print(
        f"processor: {100 * total / seconds:.1f} % of one, {100 * total / seconds / sources:.2f} % a source"
    )
    for name, used in sorted(found["threads"].items(), key=lambda item: -item[1]):
        if used / total >= 0.01:  # noqa: PLR2004 - what is not worth a line
            print(f"    {name:<10} {100 * used / seconds / sources:6.2f} % a source")
    other = (total - found["tower"]) / seconds / sources
    print(f"    outside the audio tower {100 * other:.2f} % of one core a source")
    print(f"memory: {found['memory']:.0f} MB, at most {found['peak']:.0f}")
    most = MOST_LATE_SECONDS if sources <= FEW else MOST_LATE_SECONDS_OF_MANY
    good = not found["late"] and told and np.percentile(told, 95) <= most
    print("good" if good else "not good enough")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
