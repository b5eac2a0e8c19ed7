"""Scanners: the checkpoint loaded for a scan, in whatever process does the work."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

from monitor.archive.batched_encoder import BatchedEncoder
from monitor.archive.job import FILES_AT_ONCE, Job, Loaded
from monitor.archive.part_scan import Scanner
from monitor.archive.tables import SCHEMA, Origin
from monitor.detection.engine import Engine
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.system.malloc import limit_arenas


def load_scanner(job: Job, load: Callable[..., Engine] = load_qualified_engine) -> tuple[Scanner, Loaded]:
    """Load the checkpoint, and qualify it first if it has no calibration.

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
    at_once = 1 if engine.model.device == "cpu" else FILES_AT_ONCE
    if at_once > 1:
        engine = replace(engine, encode=BatchedEncoder(engine.encode, at_once))
    origin = Origin(engine.model.name, engine.model.identity, settings_hash(job, engine))
    zone = None if job.zone is None else ZoneInfo(job.zone)
    scanner = Scanner(config, engine, origin, zone=zone, embeddings=job.embeddings)
    return scanner, Loaded(origin, engine.model.dimension, at_once)


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
