"""Example check: how well a label works that was learned from examples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.audio.level import part_powers
from monitor.config import LabelConfig
from monitor.detection import scoring
from monitor.detection.calibration import QUANTILE, SHARE
from monitor.detection.engine import Engine
from monitor.detection.examples import Examples
from monitor.detection.prototypes import Prototypes
from monitor.detection.rules import Rule, rule_of
from monitor.evaluation.calibration_kit import Kit, decode_clips
from monitor.evaluation.kit_windows import WindowEmbedder, windows_in
from monitor.types import Embeddings, Samples

MIXES = 4
"""Beds of the calibration kit in which each example is played."""

MIX_DB = 10.0
"""Level of an example above the bed."""

LONGEST_SECONDS = 5.0
"""Of a recording, around its loudest moment."""

FEWEST = 3
"""Examples from which one can be called an outlier: of two, either may be."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of trials, with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ExampleCheck:
    """How well a label works with its examples."""

    label: str
    examples: int
    scores: Mapping[str, float]
    """Score of each example in a quiet room, with a label learned from the others, by origin."""
    outliers: tuple[str, ...]
    """Examples that the others do not detect, while they detect most."""
    recall: Share | None
    """Share of the examples that the others detect `MIX_DB` above ambience; None for a single one."""
    mixed: bool
    """Whether they were played in ambience; False: only their embeddings were known."""
    collisions: Mapping[str, float]
    """Share of the examples that other labels detect as well, by label."""
    ambience_seconds: float
    """Length of the ambience that was tried, of the calibration kit."""
    rivals: int
    """Sounds marked wrong that count against the label."""
    ambience_events: int
    """Times that the label fired in it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ambience:
    """Windows of a bed of the kit."""

    samples: Samples
    embeddings: Embeddings


def check_examples(
    label: LabelConfig, examples: Examples, audio: Mapping[str, Samples], engine: Engine, kit: Kit
) -> ExampleCheck:
    """Measure what examples are worth, each with a label that was learned from the others.

    Parameters
    ----------
    label : LabelConfig
        With ``examples: true``.
    examples : Examples
        All of the label.
    audio : mapping of str to Samples
        Audio of examples at the model's rate, by origin, where there is any.
    engine : Engine
        With the other labels in force.
    kit : Kit
        Its beds are the ambience.
    """
    count = len(examples.rows)
    rule = rule_of(label, rate=engine.rate, hop=engine.hop)
    others = [_without(examples, place) if count > 1 else examples for place in range(count)]
    prototypes = [_prototypes(engine, label, each) for each in others]
    ambience = list(_ambience(engine, kit))
    rows = zip(examples.origins, examples.embeddings, prototypes, strict=True)
    scores = {origin: float(_scores(row[None], each, engine)[0]) for origin, row, each in rows}
    found = [score >= label.threshold for score in scores.values()]
    few = count < FEWEST or 2 * sum(found) <= count
    outliers = () if few else tuple(o for o, hit in zip(scores, found, strict=True) if not hit)
    known = [(place, audio[origin]) for place, origin in enumerate(examples.origins) if origin in audio]
    if known:
        found_shares = [
            _found_in_ambience(samples, prototypes[place], engine, rule, ambience, first=place)
            for place, samples in known
        ]
    else:
        found_shares = [float(hit) for hit in found]
    whole = _prototypes(engine, label, examples)
    fired = sum(_fired(_scores(bed.embeddings, whole, engine), rule) for bed in ambience)
    return ExampleCheck(
        label=label.id,
        examples=count,
        scores=scores,
        outliers=outliers,
        recall=_share(found_shares) if count > 1 else None,
        mixed=bool(known),
        collisions=_collisions(label, examples, engine),
        ambience_seconds=sum(len(bed.samples) for bed in ambience) / engine.rate,
        rivals=len(examples.rivals),
        ambience_events=fired,
    )


def _without(examples: Examples, place: int) -> Examples:
    origins = examples.origins[:place] + examples.origins[place + 1 :]
    return replace(examples, rows=np.delete(examples.rows, place, axis=0), origins=origins)


def _prototypes(engine: Engine, label: LabelConfig, examples: Examples) -> Prototypes:
    """Prototypes of this label alone, against the background of the engine."""
    background = [text for text in engine.prototypes.against_prompts if text not in label.against]
    return engine.build_prototypes([label], background, {label.id: examples})


def _logits(embeddings: Embeddings, prototypes: Prototypes, engine: Engine) -> NDArray[np.float32]:
    margins = np.stack([scoring.margins(row, prototypes) for row in embeddings])
    return scoring.logits(margins, engine.calibration)


def _scores(embeddings: Embeddings, prototypes: Prototypes, engine: Engine) -> NDArray[np.float32]:
    """Score of each window for the only label, with the baseline of an ordinary room, shape (n,)."""
    baseline = np.array([engine.calibration.baseline], dtype=np.float32)
    return scoring.scores(_logits(embeddings, prototypes, engine), baseline)[:, 0]


def _ambience(engine: Engine, kit: Kit) -> Iterator[_Ambience]:
    embedder = WindowEmbedder(engine.model, engine.length)
    spread = np.linspace(0, len(kit.beds) - 1, MIXES).round().astype(int)
    for _, samples in decode_clips([kit.beds[place] for place in spread], engine.rate):
        whole = np.resize(samples, max(len(samples), 4 * engine.length))
        yield _Ambience(whole, embedder.embed(windows_in(whole, engine.length, engine.hop), engine.hop))


def _found_in_ambience(
    samples: Samples,
    prototypes: Prototypes,
    engine: Engine,
    rule: Rule,
    ambience: Sequence[_Ambience],
    *,
    first: int,
) -> float:
    """Share of the beds in which the sound is detected, each with the baseline that it has by itself."""
    embedder = WindowEmbedder(engine.model, engine.length)
    sound = _loudest(samples, round(LONGEST_SECONDS * engine.rate))
    hits = []
    for number, bed in enumerate(ambience):
        start = (first + 1) * engine.rate // 3 + number * engine.hop // MIXES
        mixed = _mixed(sound, np.roll(bed.samples, -start), engine.length)
        windows = embedder.embed(windows_in(mixed, engine.length, engine.hop), engine.hop)
        baseline = np.quantile(_logits(bed.embeddings, prototypes, engine), QUANTILE, axis=0)
        logits = _logits(windows, prototypes, engine) - SHARE * baseline
        reached = scoring.scores(logits, np.zeros(1, dtype=np.float32))[:, 0]
        hits.append(_fired(reached, rule) > 0)
    return float(np.mean(hits))


def _mixed(sound: Samples, bed: Samples, length: int) -> Samples:
    """Play a sound in a bed, with a window of the bed before and after it."""
    mixed = np.resize(bed, len(sound) + 2 * length).astype(np.float32)
    part = mixed[length : length + len(sound)]
    part += sound * np.float32(10.0 ** (MIX_DB / 20.0) * _loud_rms(part) / _loud_rms(sound))
    return mixed / max(1.0, float(np.abs(mixed).max()))


def _loudest(samples: Samples, length: int) -> Samples:
    if len(samples) <= length:
        return samples
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(power[length:] - power[:-length]))
    return samples[start : start + length]


def _loud_rms(samples: Samples) -> float:
    """RMS of the parts of 50 ms that are within 20 dB of the loudest: pauses do not count."""
    power = part_powers(samples, 2400)
    return max(1e-9, math.sqrt(float(power[power >= 0.01 * power.max()].mean())))


def _fired(scores: NDArray[np.float32], rule: Rule) -> int:
    """How many events would start: runs of windows with enough that reach the threshold."""
    reached = (scores >= rule.threshold).astype(int)
    enough = np.convolve(reached, np.ones(rule.of, dtype=int))[: len(reached)] >= rule.hits
    return int(np.count_nonzero(enough & ~np.concatenate([[False], enough[:-1]])))


def _collisions(label: LabelConfig, examples: Examples, engine: Engine) -> dict[str, float]:
    """Share of the examples that each other label detects in an ordinary room."""
    prototypes = engine.prototypes
    baseline = np.full(len(prototypes.labels), engine.calibration.baseline, dtype=np.float32)
    scores = scoring.scores(_logits(examples.embeddings, prototypes, engine), baseline)
    shares = (scores >= 0.5).mean(axis=0).tolist()  # noqa: PLR2004 - the default threshold
    return {
        other: share
        for other, share in zip(prototypes.labels, shares, strict=True)
        if share and other != label.id
    }


def _share(values: Sequence[float]) -> Share:
    """Share with Wilson's interval ("Probable inference", 1927); each example is one draw."""
    count, value, z = len(values), float(np.mean(values)), 1.96
    centre = (value + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count) * math.sqrt(value * (1 - value) / count + z**2 / (4 * count**2))
    return Share(value, max(0.0, centre - spread), min(1.0, centre + spread))
