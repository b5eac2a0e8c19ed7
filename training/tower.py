"""The shape of the student: a small, ordinary ClapModel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import ClapConfig, ClapModel

from training import geometry as g
from training.teacher import DIM, SCALE

TEXT_WIDTH, TEXT_HEADS, TEXT_LAYERS = 384, 12, 2
"""As the first two of MiniLM's six layers, with which the text tower starts; 256 wide before that."""

LONGEST_TOKENS = 77
"""As CLAP's own tokenizer is cut."""

POSITION_CODE = 0.5
"""Size of the per-band offsets that the tower starts with, in deviations of the input.
The library's tower has no position embedding, so a patch cannot tell its pitch; the bias of
the input normalisation, one number for each mel band, is the only place for one."""


DEPTHS = (2, 4, 8)
"""Blocks of each stage; (2, 2, 4) until the seventh sitting, see `grown`."""

LARGE = 60_000
"""Size from which on a matrix has numbers of 8 bits on disk; the rest, and the last ones, have 16.
A sound's embedding then differs by a cosine of .0003; a sentence's by .009, unless it is trained so."""

LAST = ("audio_projection.", "text_projection.linear2.")

COARSE = torch.float8_e4m3fn
"""8 bits: 4 of exponent, 3 of fraction."""

BLOCK = re.compile(r"(.*layers\.(\d+)\.blocks\.)(\d+)\.(.*)")
PAIR = 2
"""Blocks come in pairs, one with windows as they lie and one with shifted windows."""


def student_config(vocabulary: int) -> ClapConfig:
    """Geometry: 96 x 96 picture, patches every 6 (256 tokens), grids 16, 8 and 4 wide.

    A grid must never be smaller than the attention window (4).
    """
    projection = {"projection_dim": DIM, "projection_hidden_act": "relu"}
    audio = {
        "spec_size": g.MELS,
        "window_size": 4,
        "patch_size": 12,
        "patch_stride": [6, 6],
        "patch_embeds_hidden_size": 64,
        "depths": list(DEPTHS),
        "num_attention_heads": [2, 4, 8],
        "hidden_size": 256,
        "num_mel_bins": g.MELS,
        "enable_fusion": False,
        "drop_path_rate": 0.0,
        "hidden_dropout_prob": 0.0,
        "num_classes": 1,
        "aff_block_r": 4,
    }
    text = {
        "vocab_size": vocabulary,
        "hidden_size": TEXT_WIDTH,
        "num_hidden_layers": TEXT_LAYERS,
        "num_attention_heads": TEXT_HEADS,
        "intermediate_size": 4 * TEXT_WIDTH,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": LONGEST_TOKENS + 3,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    return ClapConfig(
        text_config=text | projection,
        audio_config=audio | projection,
        logit_scale_init_value=SCALE,
        projection_dim=DIM,
        projection_hidden_act="relu",
    )


def audio_half(model: ClapModel) -> dict[str, Tensor]:
    """Weights of the audio tower of a checkpoint."""
    return _of(model, ("audio_model.", "audio_projection."))


def ears_of(checkpoint: Path) -> dict[str, Tensor]:
    """Weights of the audio tower of a checkpoint on disk, with the blocks of today's."""
    return grown(audio_half(ClapModel.from_pretrained(checkpoint, dtype=torch.float32)))


def frozen(weights: dict[str, Tensor]) -> AudioTower:
    """A tower of these weights, to be listened to."""
    tower = AudioTower()
    tower.load_state_dict(weights)
    return tower.eval().requires_grad_(False)


def text_half(model: ClapModel) -> dict[str, Tensor]:
    """Weights of the text tower of a checkpoint."""
    return _of(model, ("text_model.", "text_projection."))


def is_coarse(name: str, weight: Tensor) -> bool:
    """Whether a weight of the checkpoint has 8 bits on disk, see `LARGE`."""
    return weight.dim() > 1 and weight.numel() > LARGE and not name.startswith(LAST)


@contextmanager
def coarse(tower: torch.nn.Module) -> Iterator[None]:
    """Have the weights as they will be on disk for a while; gradients are then of the exact ones.

    (Bengio et al. 2013, "Estimating or propagating gradients": the straight-through estimator.)
    """
    exact = {p: p.data for name, p in tower.named_parameters() if is_coarse(name, p)}
    for weight, value in exact.items():
        weight.data = value.to(COARSE).to(value.dtype)
    try:
        yield
    finally:
        for weight, value in exact.items():
            weight.data = value


def refuse_other_words(path: Path, text: dict[str, Tensor], vocabulary: int) -> None:
    """Raise `ValueError` for a text tower of another width or depth, as those before the eleventh sitting."""
    with torch.device("meta"):
        ours = text_half(ClapModel(student_config(vocabulary)))
    if {name: value.shape for name, value in text.items()} != {name: v.shape for name, v in ours.items()}:
        raise ValueError(f"{path}: its text tower has another shape: train `text` without --start")


def grown(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tower with `DEPTHS` blocks, of weights that have as many in each stage, or half as many.

    After each pair of blocks comes a copy of it whose outputs are zero: what it adds to its input is
    nothing until it learns (Wu et al. 2024, "LLaMA Pro: Progressive LLaMA with Block Expansion").
    """
    blocks = [match for name in weights if (match := BLOCK.fullmatch(name))]
    depths = [1 + max(int(m[3]) for m in blocks if int(m[2]) == stage) for stage in range(len(DEPTHS))]
    taller: dict[str, Tensor] = {}
    for name, value in weights.items():
        match = BLOCK.fullmatch(name)
        if match is None or depths[int(match[2])] == DEPTHS[int(match[2])]:
            taller[name] = value
            continue
        stage, number, part = match[1], int(match[3]), match[4]
        place = number + number // PAIR * PAIR
        taller[f"{stage}{place}.{part}"] = value
        silent = part.startswith(("output.dense", "attention.output.dense"))
        taller[f"{stage}{place + PAIR}.{part}"] = torch.zeros_like(value) if silent else value.clone()
    return taller


def _of(model: ClapModel, names: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if name.startswith(names)}


class AudioTower(torch.nn.Module):
    """The audio half of a ClapModel, with the input normalisation fixed from data."""

    def __init__(self) -> None:
        super().__init__()
        whole = ClapModel(student_config(vocabulary=8))
        self.audio_model = whole.audio_model
        self.audio_projection = whole.audio_projection

    def forward(self, mel: Tensor) -> Tensor:
        """Unit embeddings, shape (batch, DIM), of log-mel (batch, 1, FRAMES, MELS)."""
        pooled = self.audio_model(input_features=mel, is_longer=None).pooler_output
        return normalize(self.audio_projection(pooled).float(), dim=-1)

    def train(self, mode: bool = True) -> AudioTower:  # noqa: FBT001, FBT002 (torch names it so)
        """Train everything but the statistics of the input normalisation."""
        super().train(mode)
        self.audio_model.audio_encoder.batch_norm.eval()
        return self

    def fix_normalisation(self, frames: Tensor) -> None:
        """Measure the bands on ``frames``, shape (n, MELS), and start the position code."""
        code = np.random.default_rng(0).standard_normal(g.MELS) * POSITION_CODE
        start = {
            "running_mean": frames.mean(0),
            "running_var": frames.var(0),
            "bias": torch.from_numpy(code),
        }
        norm = self.audio_model.audio_encoder.batch_norm
        norm.load_state_dict(norm.state_dict() | start)
