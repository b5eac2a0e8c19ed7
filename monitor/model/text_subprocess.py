"""Text encoder in a child process, which ends when it is not needed.

The encoder takes several hundred megabytes that Python never returns to the system (transformers alone
130), and loading it slows down all other threads for seconds.  A tokenizer may also abort its process.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from monitor.model import text_worker
from monitor.model.checkpoint import Checkpoint, refuse_changed
from monitor.model.towers import TextPlace
from monitor.system.boundary import printable
from monitor.system.bounded_read import parse_json
from monitor.types import Embeddings, ModelError

log = logging.getLogger(__name__)

LIMIT_SECONDS = 300.0
"""Time limit of one answer, enough for a large checkpoint on a slow SD card."""

_LONGEST_LINE = 4 * 2**20
"""Bytes of the first line of an answer, which holds at most one warning per prompt."""

_EXIT_SECONDS = 5.0
"""Time for a child that no longer answers to exit by itself."""

_LONGEST_TAIL = 4_000
"""Bytes of the child's standard error that are examined."""

_COMMAND = f"import sys; from {text_worker.__name__} import main; main(*sys.argv[1:])"


class SubprocessTextEncoder:
    """Text encoder in a child process of low priority, started on first use.

    ``name`` is that of the checkpoint in messages; ``limit_seconds`` is the time limit of one answer.
    """

    def __init__(
        self, files: Checkpoint, place: TextPlace, name: str, *, limit_seconds: float = LIMIT_SECONDS
    ) -> None:
        self._files = files
        self._arguments = [str(files.path), place.engine, place.device, place.dtype, name]
        self._limit = limit_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None

    def embed(self, prompts: Sequence[str]) -> Embeddings:
        """Embed at least one prompt, shape (n, dimension).

        Raises
        ------
        ModelError
            As `LocalTextEncoder.embed`; or the child exited, or did not answer in time.
        """
        child = self._child = self._child or self._start()
        late = threading.Event()

        def give_up() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(self._limit, give_up)
        timer.start()
        try:
            answer, rows = _ask(child, prompts)
        except (OSError, ValueError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_EXIT_SECONDS)  # its own exit code says more than ours
            code, last = self._stop()
            what = f"did not answer within {self._limit:g} s" if late.is_set() else f"exited with code {code}"
            raise ModelError(
                f"{self._files.path}: the text encoder process {what}{f': {last}' if last else ''}"
            ) from error
        finally:
            timer.cancel()
        for line in answer["warnings"]:
            log.warning("%s", line)
        if "error" in answer:
            self._stop()
            raise ModelError(answer["error"])
        return rows

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._stop()

    def _start(self) -> subprocess.Popen[bytes]:
        refuse_changed(self._files)
        command = [sys.executable, "-c", _COMMAND, *self._arguments]
        try:
            self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child
            return subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
                env=text_worker.environment(),
            )
        except OSError as error:
            raise ModelError(f"{command[0]}: cannot be started: {error.strerror}") from error

    def _stop(self) -> tuple[int, str]:
        """End the child; return its exit code and the last line of its standard error."""
        child, self._child = self._child, None
        stderr, self._stderr = self._stderr, None
        if child is None or stderr is None:
            return 0, ""
        child.kill()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):  # unwritten data has no reader any more
                if pipe is not None:
                    pipe.close()
        code = child.wait()
        with stderr:
            stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _LONGEST_TAIL))
            lines = [printable(line).strip() for line in stderr.read().decode(errors="replace").split("\n")]
        log.debug("text encoder process: %s", " / ".join(filter(None, lines)))
        last = [line for line in lines if line and not line.startswith("note: ")]
        return code, last[-1][:200] if last else ""


def _ask(child: subprocess.Popen[bytes], prompts: Sequence[str]) -> tuple[dict[str, Any], Embeddings]:
    assert child.stdin is not None  # noqa: S101 - both are pipes
    assert child.stdout is not None  # noqa: S101
    child.stdin.write(json.dumps(list(prompts)).encode() + b"\n")
    child.stdin.flush()
    answer = parse_json(child.stdout.readline(_LONGEST_LINE))
    if "error" in answer:
        return answer, np.empty((0, 0), dtype=np.float32)
    shape = (len(prompts), int(answer["shape"][1]))
    size = 4 * shape[0] * shape[1]
    content = child.stdout.read(size)
    if len(content) < size:
        raise ValueError(f"got {len(content)} of {size} bytes of the embeddings")
    return answer, np.frombuffer(content, dtype=np.float32).reshape(shape).copy()
