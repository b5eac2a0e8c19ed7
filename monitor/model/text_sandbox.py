"""Confinement of the process that reads sentences: what a checkpoint's tokenizer may take of this machine.

A tokenizer is a program in all but name: its rules can make gigabytes of one sentence, and its library
aborts the process when they are not to be had.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

MOST_MEMORY = 2**30
"""Bytes beyond what the process has already; the largest vocabularies take a third of it."""


@contextlib.contextmanager
def limited_memory(most: int = MOST_MEMORY) -> Iterator[None]:
    """Let this process take no more than so many bytes more, until the block ends.

    For a process with one thread: others would be short of memory as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # no Linux
        yield
        return
    limit = pages * resource.getpagesize() + most
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def be_expendable() -> None:
    """Let the kernel end this process before any other when memory is short, and write no core."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def environment() -> dict[str, str]:
    """Environment variables of such a process.

    Threads of a tokenizer would take memory each, and gain nothing with few sentences.
    """
    return {**os.environ, "TOKENIZERS_PARALLELISM": "false", "RUST_BACKTRACE": "0"}
