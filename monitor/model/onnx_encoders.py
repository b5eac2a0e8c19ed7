"""ONNX encoders: an exported checkpoint in ONNX Runtime, without torch and transformers.

One session takes batches of any size: a session of a fixed size is not faster, and takes the memory of the
weights once more [measured].  Without the arena of the allocator a window takes the same time, and memory
for large batches is given back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.model.checkpoint import Checkpoint, refuse_changed
from monitor.model.onnx_manifest import AUDIO, AUDIO_INT8, TEXT, Manifest, manifest_of, refuse_damaged
from monitor.model.self_test import refuse_non_finite
from monitor.model.towers import EngineName, Sandbox, text_log, unit
from monitor.system import malloc
from monitor.system.boundary import boundary
from monitor.types import Embeddings, ModelError

_ROWS_AT_ONCE = 4096
"""Tokens of a spectrogram per batch, as for torch: more need more memory and are not faster."""

_QUIET = 4
"""Severity of ONNX Runtime's own log: only what ends the process."""


class OnnxAudioEncoder:
    """Audio encoder of an export.

    Parameters
    ----------
    files : Checkpoint
    manifest : Manifest
    threads : int
        CPU threads.
    int8 : bool
        The encoder with products in int8.

    Raises
    ------
    ModelError
        The export is damaged, or ONNX Runtime cannot load it.
    """

    engine: EngineName = "onnx"
    device = "cpu"

    def __init__(
        self, files: Checkpoint, manifest: Manifest, threads: int = 1, *, int8: bool = False
    ) -> None:
        name, self.dtype = (AUDIO_INT8, "int8") if int8 else (AUDIO, "float32")
        refuse_damaged(files.path, manifest, name)
        rows, columns = files.audio_config.grid
        self.largest_batch = max(1, _ROWS_AT_ONCE // (rows * columns))
        self._path = files.path / name
        self.logit_scale = manifest.logit_scale
        self._threads = threads
        self._session = open_session(self._path, threads)

    def embed(self, spectrograms: NDArray[np.float32]) -> Embeddings:
        """Embed log-mel spectrograms, (n, frames, mel_bins) -> (n, d)."""
        starts = range(0, len(spectrograms), self.largest_batch)
        few = [spectrograms[start : start + self.largest_batch] for start in starts]
        with boundary(ModelError, f"{self._path}: cannot embed a window"):
            return np.concatenate([unit(run(self._session, {"log_mel": part})) for part in few])

    def use_threads(self, threads: int) -> None:
        """Use this many CPU threads; the session is made again."""
        if threads != self._threads:
            self._threads = threads
            self._session = open_session(self._path, threads)


class OnnxTextEncoder:
    """Text encoder of an export, loaded on first use; `LocalTextEncoder` does the same in torch."""

    def __init__(self, files: Checkpoint, name: str, sandbox: Sandbox = nullcontext) -> None:
        self._files, self._name, self._sandbox = files, name, sandbox
        self._loaded: tuple[Any, Any, Manifest] | None = None

    def embed(self, prompts: Sequence[str]) -> Embeddings:
        """Embed at least one prompt, shape (n, dimension).

        Raises
        ------
        ModelError
            The export is damaged or has changed, or its output is not finite.
        """
        if self._loaded is None:
            refuse_changed(self._files)
            self._loaded = self._load()
        tokenizer, session, manifest = self._loaded
        with boundary(ModelError, f"{self._files.path}: the tokenizer failed"), self._sandbox():
            tokens = _tokens(tokenizer, prompts, manifest)
        with boundary(ModelError, f"{self._files.path}: the text encoder failed"):
            vectors = unit(run(session, tokens))
        refuse_non_finite(vectors, self._name, "float32")
        return vectors

    def close(self) -> None:
        """Free the memory; `embed` loads the encoder again."""
        self._loaded = None

    def _load(self) -> tuple[Any, Any, Manifest]:
        from tokenizers import Tokenizer  # noqa: PLC0415 - prompts in the cache do not need it

        directory = self._files.path
        manifest = manifest_of(directory, self._files.identity)
        for name in (TEXT, manifest.tokenizer):
            refuse_damaged(directory, manifest, name)
        with boundary(ModelError, f"{directory / manifest.tokenizer}: cannot be loaded"), self._sandbox():
            tokenizer: Any = Tokenizer.from_file(str(directory / manifest.tokenizer))
        return tokenizer, open_session(directory / TEXT, 1), manifest


def _tokens(tokenizer: Any, prompts: Sequence[str], manifest: Manifest) -> dict[str, NDArray[np.int64]]:
    """Tokens of prompts, truncated if need be, and their mask, each of shape (n, tokens)."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for text, tokens in zip(prompts, tokenizer.encode_batch(list(prompts)), strict=True):
        if len(tokens) > manifest.longest_prompt:
            warning = "prompt truncated to %d of %d tokens: %.60s..."
            text_log.warning(warning, manifest.longest_prompt, len(tokens), text)
    tokenizer.enable_truncation(max_length=manifest.longest_prompt)
    tokenizer.enable_padding(pad_id=manifest.padding_token)
    cut = tokenizer.encode_batch(list(prompts))
    return {
        "ids": np.array([tokens.ids for tokens in cut], dtype=np.int64),
        "mask": np.array([tokens.attention_mask for tokens in cut], dtype=np.int64),
    }


def open_session(path: Path, threads: int) -> Any:
    """Load an ONNX file.

    Raises
    ------
    ModelError
        ONNX Runtime is not installed, or refuses the file.
    """
    try:
        import onnxruntime  # noqa: PLC0415 - takes 0.2 s, which known prompts and torch do not need
    except ImportError as error:
        raise ModelError("model.engine: onnx needs ONNX Runtime: pip install onnxruntime") from error

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False  # 4 MB, and no faster without the arena
    options.log_severity_level = _QUIET
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    what = f"{path}: cannot be loaded; is the file of weights beside it (such as model.safetensors) whole?"
    with boundary(ModelError, what), malloc.weights_apart():
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session: Any, feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Run a session that has one output."""
    rows: NDArray[np.float32] = session.run(None, dict(feed))[0]
    return rows
