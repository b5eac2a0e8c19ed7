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
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import torch

from monitor.model import loader, text_sandbox
from monitor.model.checkpoint import Checkpoint, read
from monitor.model.config_ranges import shown
from monitor.model.self_test import refuse_non_finite
from monitor.system.boundary import boundary, printable
from monitor.system.bounded_read import DamagedError, parse_json
from monitor.types import Embeddings, ModelError

log = logging.getLogger(__name__)

LIMIT_SECONDS = 300.0
"""For one answer of the child, with a large checkpoint on a slow card; then it hangs."""

PATIENCE = 10
"""Lowered priority of the child: sentences can wait, windows cannot."""


_LONGEST_LINE = 4 * 2**20
"""Bytes of an answer's first line: one warning for each sentence at most."""

_LAST_SECONDS = 5.0
"""For a child that says no more to end by itself."""

_LONGEST_WORDS = 4_000
"""Bytes of what the child said at last that are looked at."""

_DIFFERENT = ("a dog barking", "glass breaking")

_CHILD = f"import sys; from {__name__} import main; main(*sys.argv[1:])"


class Reader(Protocol):
    """What turns sentences into vectors."""

    def embed(self, sentences: Sequence[str]) -> Embeddings:
        """Unit vectors, shape (n, dimension), n > 0; raises ModelError."""

    def close(self) -> None:
        """Free what it takes; `embed` gets it again."""


class LocalTextEncoder:
    """The text tower in this process, loaded when it is first needed.

    Parameters
    ----------
    files : Checkpoint
    place : Place
    name : str
        What the checkpoint is called in messages.
    confined : callable
        Makes what the tokenizer runs within; a process of its own can limit its memory.
    """

    def __init__(
        self, files: Checkpoint, place: loader.Place, name: str, confined: loader.Confined = nullcontext
    ) -> None:
        self._files, self._place, self._name, self._confined = files, place, name, confined
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
            self._tower = loader.text_tower(self._files, self._place, self._confined)
        tokenizer, tower, config = self._tower
        with boundary(ModelError, f"{self._files.path}: its tokenizer fails"), self._confined():
            tokens = self._tokens(tokenizer, sentences, config)
        failing = boundary(ModelError, f"{self._files.path}: its text tower fails")
        with failing, torch.inference_mode(), loader.enough_memory(self._files, self._place):
            # Without the mask, padding would move the embedding of the shorter sentences (cosine 0.977).
            ids, mask = (tokens[key].to(self._place.device) for key in ("input_ids", "attention_mask"))
            vectors = loader.unit(tower(input_ids=ids, attention_mask=mask).text_embeds)
        refuse_non_finite(vectors, self._name, loader.name_of(self._place.dtype))
        return vectors

    def _tokens(self, tokenizer: Any, sentences: Sequence[str], config: Any) -> Any:
        # RoBERTa counts positions from the padding id upwards.
        limit = min(tokenizer.model_max_length, config.max_position_embeddings - config.pad_token_id - 1)
        if limit < 1:
            raise ModelError(
                f"{self._files.path / 'tokenizer_config.json'}: model_max_length: "
                f"{shown(tokenizer.model_max_length)} is not a whole number above 0"
            )
        if len(set(map(tuple, tokenizer(list(_DIFFERENT))["input_ids"]))) < len(_DIFFERENT):
            raise ModelError(f"{self._files.path}: its tokenizer makes the same of every sentence")
        for text, ids in zip(sentences, tokenizer(list(sentences))["input_ids"], strict=True):
            if len(ids) > limit:
                log.warning("cut after %d of %d tokens: %.60s...", limit, len(ids), text)
        tokens = tokenizer(
            list(sentences), padding=True, truncation=True, max_length=limit, return_tensors="pt"
        )
        longest = tokens["input_ids"].shape[1]
        if longest > limit:
            raise ModelError(
                f"{self._files.path}: the tokenizer adds so much to a sentence that {longest} tokens do not "
                f"become {limit}: it does not belong to this model"
            )
        highest = int(tokens["input_ids"].max())
        if highest >= config.vocab_size:
            raise ModelError(
                f"{self._files.path}: the tokenizer makes token {highest}, but text_config.vocab_size is "
                f"{config.vocab_size}: they do not belong together"
            )
        return tokens

    def close(self) -> None:
        """Free the tower."""
        self._tower = None


class SubprocessTextEncoder:
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
        self, files: Checkpoint, place: loader.Place, name: str, *, limit_seconds: float = LIMIT_SECONDS
    ) -> None:
        self._files = files
        self._setting = [str(files.path), str(place.device), loader.name_of(place.dtype), name]
        self._limit = limit_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        """What the child writes to its standard error."""

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
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_LAST_SECONDS)  # it may not be quite over yet, and its own end says more
            code, last = self._end()
            ended = f"did not answer within {self._limit:g} s" if late.is_set() else f"ended with code {code}"
            raise ModelError(
                f"{self._files.path}: what reads sentences {ended}{f': {last}' if last else ''}"
            ) from error
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
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child
            return subprocess.Popen(  # noqa: S603 - our own words
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,
                env=text_sandbox.environment(),
            )
        except OSError as error:
            raise ModelError(f"{command[0]}: cannot be started: {error.strerror}") from error

    def _end(self) -> tuple[int, str]:
        """End the child; its exit code, and the last line that it wrote to its standard error."""
        child, self._child = self._child, None
        said, self._said = self._said, None
        if child is None or said is None:
            return 0, ""
        child.kill()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):  # what was not written yet has nobody to read it
                if pipe is not None:
                    pipe.close()
        code = child.wait()
        with said:
            said.seek(max(0, said.seek(0, os.SEEK_END) - _LONGEST_WORDS))
            lines = said.read().decode(errors="replace").split("\n")
        words = [printable(line).strip() for line in lines]
        log.debug("what reads sentences has said: %s", " / ".join(filter(None, words)))
        last_words = [line for line in words if line and not line.startswith("note: ")]
        return code, last_words[-1][:200] if last_words else ""


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
    line = child.stdout.readline(_LONGEST_LINE)
    answer = parse_json(line)
    if "error" in answer:
        return answer, np.empty((0, 0), dtype=np.float32)
    shape = (len(sentences), int(answer["shape"][1]))
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
                rows = embed(_sentences(line))
                answer: dict[str, Any] = {"shape": rows.shape}
            except ModelError as error:
                answer = {"error": str(error)}
        answers.write(json.dumps(answer | {"warnings": warnings}).encode() + b"\n")
        if rows is not None:
            answers.write(rows.tobytes())
        answers.flush()


def _sentences(line: bytes) -> Sequence[str]:
    try:
        return list(parse_json(line))
    except DamagedError as error:
        raise ModelError(f"the sentences: {error}") from error


def main(path: str, device: str, dtype: str, name: str) -> None:
    """Be the child of a `SubprocessTextEncoder`."""
    os.nice(PATIENCE)
    text_sandbox.be_expendable()
    # What a library prints must not come between the numbers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    place = loader.Place(torch.device(device), loader.dtype_of(dtype))
    reader = LocalTextEncoder(read(Path(path)), place, name, text_sandbox.limited_memory)
    serve(reader.embed, sys.stdin.buffer, answers)
