"""ONNX exporter: both encoders of a checkpoint as ONNX files, made with torch, which stays the reference."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monitor.model import loader
from monitor.model.audio_encoder.htsat import AudioEncoder
from monitor.model.checkpoint import Checkpoint
from monitor.model.onnx_int8 import save_int8
from monitor.model.onnx_manifest import AUDIO, AUDIO_INT8, TEXT
from monitor.model.onnx_weights import save
from monitor.system.boundary import boundary
from monitor.types import ModelError

MADE_WITH = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "tokenizers")

TOKENIZER = "onnx-tokenizer.json"
"""Name of the tokenizer, if the checkpoint's own ``tokenizer.json`` is not what transformers makes of it."""

_OPSET = 20
_MOST_AT_ONCE = 4096
"""Windows or prompts; a limit that the exporter asks for."""
_PROMPTS = ("a dog barking", "rain", "somebody is playing the piano")

_REFERENCE = loader.Placement(torch.device("cpu"), torch.float32)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what the manifest has to say of it."""

    files: Sequence[str]
    """Names; the weights of the checkpoint are not among them."""
    tokenizer: str
    logit_scale: float
    longest_prompt: int
    """Tokens."""
    padding_token: int


def export_encoders(files: Checkpoint, directory: Path, *, int8: bool = False) -> Exported:
    """Write both encoders and, if need be, the tokenizer into a directory.

    With ``int8`` there is a second audio encoder.  Weights that are in a ``model.safetensors`` in the
    directory are not written again.

    Raises
    ------
    ModelError
        The checkpoint cannot be loaded or exported, or a file cannot be written.
    """
    with _quiet(), boundary(ModelError, f"{files.path}: cannot be exported"), torch.inference_mode(False):
        encoder, logit_scale = _load_audio_encoder(files)
        written = _export_audio(files, encoder, directory, int8=int8)
        del encoder
        tokenizer, text, config = loader.load_text_encoder(files, _REFERENCE)
        name = _write_tokenizer(files, tokenizer, directory)
        written += _export_text(tokenizer, text, directory)
    limit = min(tokenizer.model_max_length, config.max_position_embeddings - config.pad_token_id - 1)
    own = [name] if name == TOKENIZER else []
    return Exported([*written, *own], name, logit_scale, limit, config.pad_token_id)


def versions() -> dict[str, str]:
    """Versions of the packages that make an export."""
    return {name: version(name) for name in MADE_WITH}


def _load_audio_encoder(files: Checkpoint) -> tuple[AudioEncoder, float]:
    with torch.backends.mkldnn.flags(enabled=False):
        return loader.load_audio_encoder(files, _REFERENCE)


def _export_audio(files: Checkpoint, encoder: AudioEncoder, directory: Path, *, int8: bool) -> list[str]:
    class Audio(nn.Module):
        def forward(self, log_mel: Tensor) -> Tensor:
            return encoder.embed(log_mel)

    example = torch.zeros(3, files.mel_config.frames, files.mel_config.mel_bins)
    sizes = {"log_mel": {0: torch.export.Dim("windows", max=_MOST_AT_ONCE)}}
    model = _program(Audio(), (example,), sizes)
    second = save_int8(model, directory / AUDIO_INT8) if int8 else []  # before the weights leave the model
    return [*save(model, directory / AUDIO), *second]


def _export_text(tokenizer: Any, encoder: Any, directory: Path) -> list[str]:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            embeddings: Tensor = self.encoder(input_ids=ids, attention_mask=mask).text_embeds
            return embeddings

    tokens = tokenizer(list(_PROMPTS), padding=True, return_tensors="pt")
    size = {
        0: torch.export.Dim("prompts", max=_MOST_AT_ONCE),
        1: torch.export.Dim("tokens", max=encoder.config.max_position_embeddings - 8),
    }
    example = (tokens["input_ids"], tokens["attention_mask"])
    return save(_program(Text(), example, {"ids": size, "mask": size}), directory / TEXT)


def _program(module: nn.Module, example: tuple[Tensor, ...], sizes: dict[str, Any]) -> Any:
    """Export a module whose arguments have the names of ``sizes``; return an ONNX model."""
    program = torch.onnx.export(
        module.eval(),
        example,
        dynamo=True,
        opset_version=_OPSET,
        dynamic_shapes=sizes,
        input_names=list(sizes),
        output_names=["embeddings"],
        verbose=False,
    )
    if program is None:
        raise ModelError("torch made no ONNX model")
    return program.model_proto


def _write_tokenizer(files: Checkpoint, tokenizer: Any, directory: Path) -> str:
    """Write the tokenizer as transformers runs it, if the checkpoint has no such file; return its name."""
    content: str = tokenizer.backend_tokenizer.to_str()
    own = files.path / "tokenizer.json"
    if own.is_file() and json.loads(own.read_bytes()) == json.loads(content):
        return own.name
    (directory / TOKENIZER).write_text(content, encoding="utf-8")
    return TOKENIZER


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which warns of packages that nothing here needs."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
