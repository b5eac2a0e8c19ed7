"""Step `export`: put both towers together as an ordinary checkpoint directory."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import ClapFeatureExtractor, ClapModel, ClapProcessor, PreTrainedTokenizerFast

from monitor.repertoire import measure, write_repertoire
from training import geometry as g
from training.batches import Batches
from training.clips import averaged_tower
from training.judge import Judge
from training.places import Places
from training.sounds import find_sounds
from training.store import load_soundscapes
from training.teacher import SCALE
from training.tokens import load_tokenizer
from training.tower import (
    AudioTower,
    audio_half,
    grown,
    refuse_other_words,
    student_config,
    text_half,
)

LOG = logging.getLogger(__name__)
LARGEST = 16_000_000
"""Bytes of the whole directory."""

HEARD, BATCH = 8_000, 50
"""Windows by which the repertoire is measured, and how many at a time."""

COMPUTE = {"dtype": "float32"}
"""The coarse numbers are for the disk only: `ClapModel` computes in these."""

LARGE = 60_000
"""Size from which on a matrix has numbers of 8 bits on disk (float8_e4m3fn: 4 of exponent, 3 of fraction);
the rest, and the projection of sound, have 16.  A sound's embedding then differs by a cosine of .0003, a
sentence's by SENTENCE.
"""

TOKENIZER = {"tokenizer_class": "PreTrainedTokenizerFast"}
"""What transformers 5 calls TokenizersBackend, in the name every version knows."""

LOADING = ("is_local", "local_files_only")
"""How the tokenizer of a checkpoint to start from was loaded, which says nothing about this one."""


def export(places: Places, start: Path | None, share: float, text_share: float = 1.0) -> None:
    """Write ``places.export``, loadable by `ClapModel` and `ClapProcessor` alone.

    With a checkpoint of ours to ``start`` from, the audio tower is on the way from that one's to the
    trained one, at ``share`` of it, and the text tower at ``text_share`` (it is that one's if none was
    trained).  (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models".)

    Raises
    ------
    ValueError
        The checkpoint is too large, the words of the two text towers between which to go are not the same,
        or the one to start from has a text tower of another shape.
    """
    audio = averaged_tower(newest(places.runs, "audio"))
    begun = ClapModel.from_pretrained(start, dtype=torch.float32) if start else None
    if begun is not None:
        audio.load_state_dict(between(grown(audio_half(begun)), audio.state_dict(), share))
    if begun is None or finished(places.runs, "text"):
        tokenizer = load_tokenizer(places.runs / "vocabulary.json")
        text = torch.load(newest(places.runs, "text"), weights_only=True)["tower"]
        if begun is not None and text_share < 1:
            if PreTrainedTokenizerFast.from_pretrained(start).get_vocab() != tokenizer.get_vocab():
                raise ValueError(f"{start}: other words than {places.runs / 'vocabulary.json'}")
            refuse_other_words(start, first := text_half(begun), len(tokenizer))
            text = between(first, text, text_share)
    else:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(start)
        text = text_half(begun)
        refuse_other_words(start, text, len(tokenizer))
    model = ClapModel(student_config(len(tokenizer)))
    scales = dict.fromkeys(("logit_scale_a", "logit_scale_t"), torch.tensor(math.log(SCALE)))
    model.load_state_dict(audio.state_dict() | text | scales)
    pack(model)
    model.save_pretrained(places.export)
    ClapProcessor(feature_extractor=extractor(), tokenizer=tokenizer).save_pretrained(places.export)
    audio.load_state_dict(audio_half(model))  # as rounded
    write_repertoire(places.export, measure(heard(places, audio)))
    amend(places.export / "config.json", COMPUTE)
    amend(places.export / "tokenizer_config.json", TOKENIZER, without=LOADING)
    (places.export / "model.safetensors").chmod(0o644)
    size = sum(file.stat().st_size for file in places.export.iterdir())
    count = sum(p.numel() for p in model.parameters())
    LOG.info("%s: %.2f MB, %.2f M parameters", places.export, size / 1e6, count / 1e6)
    if size > LARGEST:
        raise ValueError(f"{size} bytes, more than {LARGEST}")


def pack(model: ClapModel) -> None:
    """Round the weights to what is kept of them on disk, see `LARGE`."""
    for name, weight in model.half().named_parameters():
        if weight.dim() > 1 and weight.numel() > LARGE and not name.startswith("audio_projection."):
            weight.data = weight.data.to(torch.float8_e4m3fn)


def between(first: dict[str, Tensor], last: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights on the straight way from the first to the last, at ``share`` of it."""
    return {
        name: torch.lerp(first[name].to(value.dtype), value, share) if value.is_floating_point() else value
        for name, value in last.items()
    }


@torch.inference_mode()
def heard(places: Places, tower: AudioTower) -> npt.NDArray[np.float32]:
    """What the tower makes of windows of all kinds of sound, shape (n, DIM)."""
    _, labels = find_sounds(places.class_map)
    batches = Batches(load_soundscapes(places.soundscapes), Judge(labels), np.random.default_rng(0))
    several = [tower(batches.draw(BATCH, hardened=False).mel) for _ in range(HEARD // BATCH)]
    return np.asarray(torch.cat(several))


def finished(runs: Path, part: str) -> list[Path]:
    """States of a part that there are."""
    return [path for path in (runs / f"{part}-final.pt", runs / f"{part}.pt") if path.exists()]


def newest(runs: Path, part: str) -> Path:
    """The finished run's state if there is one and it is newer than the running one's."""
    return max(finished(runs, part), key=lambda path: path.stat().st_mtime)


def extractor() -> ClapFeatureExtractor:
    """The front end that `sound.log_mel` repeats."""
    return ClapFeatureExtractor(
        feature_size=g.MELS,
        sampling_rate=g.RATE,
        hop_length=g.HOP,
        max_length_s=g.WINDOW_S,
        fft_window_size=g.FFT,
        padding_value=0.0,
        frequency_min=g.LOWEST_HZ,
        frequency_max=g.HIGHEST_HZ,
        truncation="rand_trunc",
        padding="repeatpad",
    )


def amend(config: Path, changes: dict[str, str], without: Sequence[str] = ()) -> None:
    """Change entries of a JSON file, and leave some out."""
    values = json.loads(config.read_text()) | changes
    kept = {name: value for name, value in values.items() if name not in without}
    config.write_text(json.dumps(kept, indent=2) + "\n")
