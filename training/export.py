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

from monitor.detection.cohort_norm import CohortNorm, measure_cohort, read_cohort_norm, write_cohort_norm
from training import geometry as g
from training.batches import Batches
from training.clips import averaged_tower
from training.judge import Judge
from training.places import Places
from training.sounds import find_sounds
from training.store import load_soundscapes
from training.teacher import DIM, SCALE
from training.tokens import load_tokenizer
from training.tower import (
    COARSE,
    AudioTower,
    audio_half,
    grown,
    is_coarse,
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

EVENNESS, LEAST_POWER = 0.25, 1e-3
"""Power of the variance by which a direction of sounds becomes shorter for sentences, and what is added to
each variance before.  Of the paraphrases of the tuning .886 are then right, .842 without it and .754 if the
mean stays, too; and the whole monitor finds .34 of the tuning half of the scenes, not .31
(training/history.md, "An eleventh sitting")."""

TOKENIZER = {"tokenizer_class": "PreTrainedTokenizerFast"}
"""What transformers 5 calls TokenizersBackend, in the name every version knows."""

LOADING = ("is_local", "local_files_only")
"""How the tokenizer of a checkpoint to start from was loaded, which says nothing about this one."""


def export(places: Places, start: Path | None, share: float) -> None:
    """Write ``places.export``, loadable by `ClapModel` and `ClapProcessor` alone.

    With a checkpoint of ours to ``start`` from, the audio tower is on the way from that one's to the
    trained one, at ``share`` of it; either tower is that one's if none was trained, and the text tower the
    refined one if there is one, which points where it should already.
    (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models".)

    Raises
    ------
    ValueError
        The checkpoint is too large, no audio tower was trained or given, or no text tower was trained and
        that of ``start`` has another shape.
    """
    begun = ClapModel.from_pretrained(start, dtype=torch.float32) if start else None
    audio = AudioTower()
    audio.load_state_dict(audio_weights(places.runs, begun, share))
    trained, refined = begun is None or bool(finished(places.runs, "text")), places.runs / "refined.pt"
    if start is not None and begun is not None and (refined.exists() or not trained):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(start)
        text = torch.load(refined, weights_only=True)["tower"] if refined.exists() else text_half(begun)
        refuse_other_words(start, text, len(tokenizer))
    else:
        tokenizer = load_tokenizer(places.runs / "vocabulary.json")
        text = torch.load(newest(places.runs, "text"), weights_only=True)["tower"]
    model = ClapModel(student_config(len(tokenizer)))
    scales = dict.fromkeys(("logit_scale_a", "logit_scale_t"), torch.tensor(math.log(SCALE)))
    model.load_state_dict(audio.state_dict() | text | scales)
    pack(model)
    audio.load_state_dict(audio_half(model))  # as rounded
    known = read_cohort_norm(start, DIM) if start and not finished(places.runs, "audio") else None
    repertoire = known or measure_cohort(heard(places, audio))
    if trained and not refined.exists():
        even_out(model, repertoire)
    model.save_pretrained(places.export)
    ClapProcessor(feature_extractor=extractor(), tokenizer=tokenizer).save_pretrained(places.export)
    write_cohort_norm(places.export, repertoire)
    amend(places.export / "config.json", COMPUTE)
    amend(places.export / "tokenizer_config.json", TOKENIZER, without=LOADING)
    (places.export / "model.safetensors").chmod(0o644)
    size = sum(file.stat().st_size for file in places.export.iterdir())
    count = sum(p.numel() for p in model.parameters())
    LOG.info("%s: %.2f MB, %.2f M parameters", places.export, size / 1e6, count / 1e6)
    if size > LARGEST:
        raise ValueError(f"{size} bytes, more than {LARGEST}")


def audio_weights(runs: Path, begun: ClapModel | None, share: float) -> dict[str, Tensor]:
    """Weights of the audio tower, see `export`."""
    own = grown(audio_half(begun)) if begun is not None else None
    if finished(runs, "audio"):
        trained = averaged_tower(newest(runs, "audio")).state_dict()
        return trained if own is None else between(own, trained, share)
    if own is None:
        raise ValueError(f"{runs}: no audio tower was trained: run the step `train`, or give --start")
    return own


@torch.no_grad()
def even_out(model: ClapModel, repertoire: CohortNorm) -> None:
    """Change the text projection such that cosines of different sentences can be compared.

    All sounds lie about one direction, and what a sentence has of it lifts its cosine with every sound:
    "a hungry newborn yells" ranked the crying babies first, and yet fitted them less than other sentences
    did.  So it is taken out of every sentence, and the directions in which sounds differ most are made
    a little shorter (see `EVENNESS`); both are linear, and leave a plain `ClapModel`.
    (Mu and Viswanath 2018, "All-but-the-top".)
    """
    mean = torch.from_numpy(repertoire.mean)
    along = mean / mean.norm()
    _, sizes, directions = torch.linalg.svd(torch.from_numpy(repertoire.directions), full_matrices=False)
    power = sizes.square() + LEAST_POWER
    gains = (power / power[-1]) ** -EVENNESS
    change = torch.eye(len(mean)) + directions.T @ ((gains - 1)[:, None] * directions)
    change = change @ (torch.eye(len(mean)) - torch.outer(along, along))
    last = model.text_projection.linear2
    last.weight.data = (change @ last.weight.float()).to(last.weight.dtype)
    last.bias.data = (change @ last.bias.float()).to(last.bias.dtype)


def pack(model: ClapModel) -> None:
    """Round the weights to what is kept of them on disk, see `tower.LARGE`."""
    for name, weight in model.half().named_parameters():
        if is_coarse(name, weight):
            weight.data = weight.data.to(COARSE)


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
