"""Estimated calibration of a checkpoint without ``detection.json``, from synthetic background sounds."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monitor.audio.level import to_reference
from monitor.config import LabelConfig, slug
from monitor.detection import scoring
from monitor.detection.calibration import MOST_BYTES, Calibration, calibration_of, estimate_calibration
from monitor.detection.cohort_norm import CohortNorm
from monitor.detection.prototypes import build_prototypes
from monitor.model.clap import Clap
from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import Embeddings, ModelError, Samples

log = logging.getLogger(__name__)

PROMPTS = (
    "a dog barking",
    "a baby crying",
    "glass breaking",
    "a smoke alarm beeping",
    "a doorbell ringing",
    "a car horn",
    "a person coughing",
    "footsteps on a wooden floor",
    "water running from a tap",
    "a cat meowing",
    "a bird singing",
    "a door being slammed",
)
"""Prompts of ordinary labels, whose margins are measured."""


def estimated_calibration(
    model: Clap, state: Path, background: Sequence[str], length: int, cohort_norm: CohortNorm | None
) -> Calibration:
    """Return the estimate in the state directory, or make and keep one.

    Parameters
    ----------
    model : Clap
    state : Path
        The state directory.
    background : sequence of str
        The configured background prompts.
    length : int
        Samples in a window.
    cohort_norm : CohortNorm or None
        The checkpoint's.
    """
    parts = [
        model.identity,
        str(length),
        "" if cohort_norm is None else cohort_norm.directions.tobytes().hex(),
        *PROMPTS,
        *background,
    ]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    path = state / "responses" / f"{key}.json"
    try:
        return calibration_of(read_json(path, MOST_BYTES), str(path))
    except FileNotFoundError:
        log.info("%s has no detection.json: estimating its calibration, once", model.name)
    except ModelError as error:
        log.warning("%s: estimating the calibration again", error)
    except (OSError, DamagedError) as error:
        log.warning("%s: %s: estimating the calibration again", path, explain(error))
    labels = [LabelConfig(id=slug(text), prompts=(text,)) for text in PROMPTS]
    prototypes = build_prototypes(labels, background, model.embed_text, cohort_norm)
    margins = [scoring.margins(row, prototypes) for row in _embed_background(model, length)]
    calibration = estimate_calibration(np.stack(margins))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(calibration.as_dict()).encode())
    except OSError as error:
        log.warning("%s: cannot be written: %s", path, error.strerror)
    return calibration


def _embed_background(model: Clap, length: int) -> Embeddings:
    """Embeddings of synthetic background sounds, shape (sounds, d)."""
    sounds = _background(length, model.mel_config.rate)
    return np.concatenate([model.embed_audio(sound[None]) for sound in sounds])


def _background(length: int, rate: int) -> list[Samples]:
    """Noise of three colours, mains hum, a fan, and drips, each at the reference level."""
    random = np.random.default_rng(0)
    time = np.arange(length) / rate
    white = random.standard_normal(length)
    spectrum = np.fft.rfft(white)
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / rate), 20.0)
    pink, brown = (np.fft.irfft(spectrum / frequency**slope, length) for slope in (0.5, 1.0))
    hum = sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3, 5)) + 0.01 * white
    fan = brown / brown.std() + 0.3 * np.sin(2 * np.pi * 117 * time)
    drips = 0.01 * pink / pink.std()
    drips[:: max(1, rate // 2)] += 1.0
    sounds = (white, pink, brown, hum, fan, drips)
    return [to_reference(np.asarray(sound, dtype=np.float32)) for sound in sounds]
