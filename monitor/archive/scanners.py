"""Scanners: the checkpoint loaded for a scan, in each process."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np

from monitor.archive.batched_encoder import BatchedEncoder
from monitor.archive.job import CPU_FILES, GPU_FILES, Job, Loaded
from monitor.archive.part_scan import Scanner
from monitor.archive.tables import SCHEMA, Origin
from monitor.detection.engine import Engine
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.model.log_mel import log_mel
from monitor.system.malloc import limit_arenas

_PATIENCE_SECONDS = 0.05
"""Longest wait of a window for those of other recordings, which may be silent or come from a slow disk."""


def load_scanner(
    job: Job, load: Callable[..., Engine] = load_qualified_engine, *, most: int = CPU_FILES
) -> tuple[Scanner, Loaded]:
    """Load the checkpoint, and qualify it first if it has no calibration.

    Parameters
    ----------
    job : Job
    load : callable
    most : int
        Recordings at once, at most, on a processor.

    Raises
    ------
    MonitorError
        As `load_qualified_engine`.
    """
    limit_arenas()
    logging.getLogger("monitor").setLevel(logging.ERROR)  # what is wrong with a file stands in its report
    config = job.config
    model_settings = config.model.model_copy(update={"threads": 1})
    engine = load(config.model_copy(update={"model": model_settings, "sources": ()}), apart=False)
    at_once = _files_at_once(engine, most)
    encoder = BatchedEncoder(engine.encode, at_once, _PATIENCE_SECONDS if _on_processor(engine) else 0.0)
    origin = Origin(engine.model.name, engine.model.identity, settings_hash(job, engine))
    zone = None if job.zone is None else ZoneInfo(job.zone)
    scanner = Scanner(
        config,
        replace(engine, encode=encoder) if at_once > 1 else engine,
        origin,
        zone=zone,
        embeddings=job.embeddings,
        taking_part=encoder.taking_part,
    )
    return scanner, Loaded(origin, engine.model.dimension, at_once, _on_processor(engine))


def _files_at_once(engine: Engine, most: int) -> int:
    """Return how many recordings to scan at once: several if their windows go through the model together."""
    if not _on_processor(engine):
        return GPU_FILES
    most = min(most, engine.model.largest_batch)
    return most if most > 1 and batches_are_exact(engine, most) else 1


def _on_processor(engine: Engine) -> bool:
    return engine.model.device == "cpu"


def batches_are_exact(engine: Engine, most: int) -> bool:
    """Return whether a window has the same embedding, to the bit, alone and in batches of up to ``most``.

    It has with both engines on x86 [measured]; libraries for other processors may add up in another order.
    """
    noise = 0.1 * np.random.default_rng(0).standard_normal((most, engine.length))
    spectrograms = log_mel(noise.astype(np.float32), engine.model.mel_config)
    alone = np.concatenate([engine.encode(each[np.newaxis]) for each in spectrograms])
    return all(
        np.array_equal(engine.encode(spectrograms[:number]), alone[:number]) for number in range(2, most + 1)
    )


def settings_hash(job: Job, engine: Engine) -> str:
    """Return a hash of what decides about the results, besides the checkpoint and the recordings."""
    config = job.config
    known = {
        "schema": SCHEMA,
        "labels": [label.model_dump(mode="json") for label in config.labels if label.enabled],
        "prompts": engine.prototypes.fingerprints,
        "window": [engine.length, engine.hop, config.window.reuse_seconds, config.silence_dbfs],
        "calibration": repr(engine.calibration),
        "number_format": engine.model.dtype,
        "zone": job.zone,
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]
