"""Sentences through the text tower: in this process, or in a child that ends when it is not needed.

What reads them takes several hundred megabytes that Python never gives back (transformers alone 130), and,
the first time, seconds in which no other thread gets far.  So the daemon leaves it to a child.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import torch

from monitor.checkpoint import Checkpoint, read
from monitor.model import towers
from monitor.model.trial import refuse_non_finite
from monitor.types import Embeddings, ModelError

log = logging.getLogger(__name__)

LIMIT_SECONDS = 300.0
"""For one answer of the child, with a large checkpoint on a slow card; then it hangs."""

PATIENCE = 10
"""Lowered priority of the child: sentences can wait, windows cannot."""


_CHILD = f"import sys; from {__name__} import main; main(*sys.argv[1:])"


class Reader(Protocol):
    """What turns sentences into vectors."""

    def embed(self, sentences: Sequence[str]) -> Embeddings:
        """Unit vectors, shape (n, dimension), n > 0; raises ModelError."""

    def close(self) -> None:
        """Free what it takes; `embed` gets it again."""


class NearReader:
    """The text tower in this process, loaded when it is first needed.

    Parameters
    ----------
    files : Checkpoint
    place : Place
    name : str
        What the checkpoint is called in messages.
    """

    def __init__(self, files: Checkpoint, place: towers.Place, name: str) -> None:
        self._files, self._place, self._name = files, place, name
        self._tower: tuple[Any, Any, Any] | None = None

    def embed(self, sentences: Sequence[str]) -> Embeddings:
        """Unit vectors, shape (n, dimension).

        Raises
        ------
        ModelError
            The tower cannot be loaded, does not go with its tokenizer, or gives no finite numbers.
        """
        if self._tower is None:
            refuse_changed(self._files)
            self._tower = towers.text_tower(self._files, self._place)
        tokenizer, tower, config = self._tower
        # RoBERTa counts positions from the padding id upwards.
        limit = min(tokenizer.model_max_length, config.max_position_embeddings - config.pad_token_id - 1)
        for text, ids in zip(sentences, tokenizer(list(sentences))["input_ids"], strict=True):
            if len(ids) > limit:
                log.warning("cut after %d of %d tokens: %.60s...", limit, len(ids), text)
        tokens = tokenizer(
            list(sentences), padding=True, truncation=True, max_length=limit, return_tensors="pt"
        )
        highest = int(tokens["input_ids"].max())
        if highest >= config.vocab_size:
            raise ModelError(
                f"{self._files.path}: the tokenizer makes token {highest}, but text_config.vocab_size is "
                f"{config.vocab_size}: they do not belong together"
            )
        with torch.inference_mode(), towers.enough_memory(self._files, self._place):
            # Without the mask, padding would move the embedding of the shorter sentences (cosine 0.977).
            ids, mask = (tokens[key].to(self._place.device) for key in ("input_ids", "attention_mask"))
            vectors = towers.unit(tower(input_ids=ids, attention_mask=mask).text_embeds)
        refuse_non_finite(vectors, self._name, towers.name_of(self._place.dtype))
        return vectors

    def close(self) -> None:
        """Free the tower."""
        self._tower = None


class FarReader:
    """The text tower in a child of low priority, started when it is first needed.

    Parameters
    ----------
    files : Checkpoint
    place : Place
    name : str
        What the checkpoint is called in messages.
    limit_seconds : float
        For one answer.
    """

    def __init__(
        self, files: Checkpoint, place: towers.Place, name: str, *, limit_seconds: float = LIMIT_SECONDS
    ) -> None:
        self._files = files
        self._setting = [str(files.path), str(place.device), towers.name_of(place.dtype), name]
        self._limit = limit_seconds
        self._child: subprocess.Popen[bytes] | None = None

    def embed(self, sentences: Sequence[str]) -> Embeddings:
        """Unit vectors, shape (n, dimension).

        Raises
        ------
        ModelError
            As of `NearReader.embed`; or the child ended, or did not answer in time.
        """
        child = self._child = self._child or self._start()
        late = threading.Event()

        def give_up() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(self._limit, give_up)
        timer.start()
        try:
            answer, rows = _ask(child, sentences)
        except (OSError, ValueError) as error:
            code = self._end()
            ended = f"did not answer within {self._limit:g} s" if late.is_set() else f"ended with code {code}"
            raise ModelError(f"{self._files.path}: what reads sentences {ended}") from error
        finally:
            timer.cancel()
        for line in answer["warnings"]:
            log.warning("%s", line)
        if "error" in answer:
            self._end()
            raise ModelError(answer["error"])
        return rows

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        refuse_changed(self._files)
        command = [sys.executable, "-c", _CHILD, *self._setting]
        try:
            return subprocess.Popen(  # noqa: S603 - our own words
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise ModelError(f"{command[0]}: cannot be started: {error.strerror}") from error

    def _end(self) -> int:
        child, self._child = self._child, None
        if child is None:
            return 0
        child.kill()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):  # what was not written yet has nobody to read it
                if pipe is not None:
                    pipe.close()
        return child.wait()


def refuse_changed(files: Checkpoint) -> None:
    """Raise ModelError if a checkpoint's files are no longer those that were read."""
    if read(files.path).identity != files.identity:
        raise ModelError(f"{files.path}: has changed since it was loaded: restart to use what is there")


def _ask(child: subprocess.Popen[bytes], sentences: Sequence[str]) -> tuple[dict[str, Any], Embeddings]:
    """Send one line, get one line and the numbers; ValueError or OSError if there is no whole answer."""
    assert child.stdin is not None  # noqa: S101 - they are pipes
    assert child.stdout is not None  # noqa: S101
    child.stdin.write(json.dumps(list(sentences)).encode() + b"\n")
    child.stdin.flush()
    answer = json.loads(child.stdout.readline())
    shape = answer.get("shape", [0, 0])
    size = 4 * shape[0] * shape[1]
    content = child.stdout.read(size)
    if len(content) < size:
        raise ValueError(f"{len(content)} of {size} bytes")
    return answer, np.frombuffer(content, dtype=np.float32).reshape(shape).copy()


@contextlib.contextmanager
def _kept_warnings() -> Iterator[list[str]]:
    """Keep what is logged here for whoever asked, instead of writing it."""
    lines: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        lines.append(record.getMessage())
        return False

    log.addFilter(keep)
    try:
        yield lines
    finally:
        log.removeFilter(keep)


def serve(embed: Callable[[Sequence[str]], Embeddings], asked: IO[bytes], answers: IO[bytes]) -> None:
    """Answer each line of ``asked``, a JSON list of sentences, until there are no more.

    An answer is a line of JSON with the ``warnings`` and the ``shape`` of the rows, or an ``error``, then the
    rows as float32.
    """
    for line in asked:
        rows: Embeddings | None = None
        with _kept_warnings() as warnings:
            try:
                rows = embed(json.loads(line))
                answer: dict[str, Any] = {"shape": rows.shape}
            except ModelError as error:
                answer = {"error": str(error)}
        answers.write(json.dumps(answer | {"warnings": warnings}).encode() + b"\n")
        if rows is not None:
            answers.write(rows.tobytes())
        answers.flush()


def main(path: str, device: str, dtype: str, name: str) -> None:
    """Be the child of a `FarReader`."""
    os.nice(PATIENCE)
    # What a library prints must not come between the numbers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    place = towers.Place(torch.device(device), towers.dtype_of(dtype))
    serve(NearReader(read(Path(path)), place, name).embed, sys.stdin.buffer, answers)
