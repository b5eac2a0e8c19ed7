"""Text encoder process: the child of a `SubprocessTextEncoder`, with limited memory.

A tokenizer is a program in all but name: its rules can turn one prompt into gigabytes, and its library
aborts the process when memory runs out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

from monitor.model.checkpoint import Checkpoint, read
from monitor.model.towers import EngineName, Sandbox, TextPlace, TextTower, text_log
from monitor.system.boundary import boundary
from monitor.system.bounded_read import parse_json
from monitor.system.cpu import give_way
from monitor.types import Embeddings, ModelError

_MOST_MEMORY = 2**30
"""Bytes that a tokenizer may allocate; the largest vocabularies take a third of it."""


def environment() -> dict[str, str]:
    """Environment variables of the process: more threads would take memory and gain nothing."""
    single = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **single, "RUST_BACKTRACE": "0"}


def main(path: str, engine: EngineName, device: str, dtype: str, name: str) -> None:
    """Embed prompts from standard input until it ends."""
    give_way()
    _expect_to_be_killed()
    # Libraries that print must not write into the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    place = TextPlace(engine, device, dtype)
    encoder = local_text_encoder(read(Path(path)), place, name, _limited_memory)
    serve(encoder.embed, sys.stdin.buffer, answers)


def local_text_encoder(
    files: Checkpoint, place: TextPlace, name: str, sandbox: Sandbox = nullcontext
) -> TextTower:
    """Text encoder in this process; imports only the libraries of its engine."""
    if place.engine == "onnx":
        from monitor.model.onnx_encoders import OnnxTextEncoder  # noqa: PLC0415

        return OnnxTextEncoder(files, name, sandbox)
    from monitor.model.torch_towers import text_encoder  # noqa: PLC0415

    return text_encoder(files, place, name, sandbox)


def serve(embed: Callable[[Sequence[str]], Embeddings], requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer each line of ``requests``, a JSON list of prompts, until the end.

    An answer is a line of JSON with the ``warnings`` and either an ``error`` or the ``shape`` of the rows,
    which follow as float32.
    """
    for line in requests:
        rows: Embeddings | None = None
        with _collected_warnings() as warnings:
            try:
                rows = embed(_prompts(line))
                answer: dict[str, Any] = {"shape": rows.shape}
            except ModelError as error:
                answer = {"error": str(error)}
        answers.write(json.dumps(answer | {"warnings": warnings}).encode() + b"\n")
        if rows is not None:
            answers.write(rows.tobytes())
        answers.flush()


def _prompts(line: bytes) -> Sequence[str]:
    with boundary(ModelError, "the prompts"):
        return list(parse_json(line))


@contextlib.contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """Collect the warnings of the text encoder for the answer, instead of logging them here."""
    lines: list[str] = []

    def collect(record: logging.LogRecord) -> bool:
        lines.append(record.getMessage())
        return False

    text_log.addFilter(collect)
    try:
        yield lines
    finally:
        text_log.removeFilter(collect)


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    """Limit how much more memory this process may allocate; for a process with one thread."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux
        yield
        return
    limit = pages * resource.getpagesize() + _MOST_MEMORY
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _expect_to_be_killed() -> None:
    """Let the kernel kill this process first when memory is short, and write no core dump."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
