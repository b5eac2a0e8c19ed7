"""Qualification file: tensors and JSON in the safetensors format, read with limits and written atomically."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from monitor.detection.calibration import calibration_of
from monitor.detection.cohort import UNIT, Cohort
from monitor.detection.qualification import Figure, Figures, Qualification, Setup
from monitor.model.config_ranges import Range, check, shown
from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import boundary, explain
from monitor.system.bounded_read import DamagedError, parse_json, read_bytes
from monitor.system.directories import make_directory
from monitor.types import ModelError

FILE = "qualification.safetensors"
"""Name of the file beside a checkpoint."""

MOST = 20
"""Qualifications that a directory keeps: those last used."""

_MOST_BYTES = 64 * 2**20
_MOST_WINDOWS = 20_000
_KEY = "qualification"
_SCHEMA = 1
_COUNT = Range(0, 2**53)
_POSITIVE = Range(0, 1e9, whole=False)


def read_qualification(path: Path, dimension: int) -> Qualification | None:
    """Read a qualification; None if there is no such file.

    Parameters
    ----------
    path : Path
    dimension : int
        Length of the checkpoint's embeddings.

    Raises
    ------
    ModelError
        The file is damaged, too large, of a later version, or of another checkpoint.
    """
    where = f"{path}: not a qualification"
    try:
        content = read_bytes(path, _MOST_BYTES)
        header = _header(content)
    except FileNotFoundError:
        return None
    except (OSError, DamagedError) as error:
        raise ModelError(f"{where}: {explain(error)}") from error
    with boundary(ModelError, where):
        try:
            tensors = load(content)
            document = parse_json(header["__metadata__"][_KEY])
        except (SafetensorError, KeyError, TypeError, DamagedError) as error:
            raise ModelError(f"{where}: {explain(error)}") from error
    return _qualification(document, tensors, dimension, where)


def _header(content: bytes) -> Any:
    """Return the header: its length in 8 bytes, then JSON."""
    size = int.from_bytes(content[:8], "little")
    if not 0 < size <= len(content) - 8:
        raise DamagedError("is cut short")
    return parse_json(content[8 : 8 + size])


def write_qualification(path: Path, qualification: Qualification) -> None:
    """Write a qualification completely or not at all; makes its directory.

    Raises
    ------
    OSError
        It cannot be written.
    """
    cohort = qualification.cohort
    document = {
        "schema": _SCHEMA,
        "setup": asdict(qualification.setup),
        "calibration": qualification.calibration.as_dict(),
        "kinds": list(cohort.kinds),
        "figures": asdict(qualification.figures),
        "made_at": qualification.made_at,
    }
    tensors = {"embeddings": cohort.embeddings, "kind_of": cohort.kind_of, "prompts": cohort.prompts}
    content = save(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
        metadata={_KEY: json.dumps(document, allow_nan=False)},
    )
    make_directory(path.parent)
    write_atomic(path, content, durable=True)


def keep_qualification(path: Path, qualification: Qualification) -> None:
    """Write a qualification, and delete those in its directory that were not used for the longest time.

    Raises
    ------
    OSError
        It cannot be written.
    """
    write_qualification(path, qualification)
    others = [each for each in path.parent.glob("*.safetensors") if each != path]
    for each in sorted(others, key=lambda other: other.stat().st_mtime)[: -(MOST - 1)]:
        each.unlink()


def _qualification(
    document: object, tensors: dict[str, NDArray[Any]], dimension: int, where: str
) -> Qualification:
    found = _mapping(document, where)
    if found.get("schema") != _SCHEMA:
        raise ModelError(
            f"{where}: has version {shown(found.get('schema'))}, but this program reads {_SCHEMA}: "
            "delete it and qualify again"
        )
    check(found.get("made_at"), Range(0, 1e12, whole=False), f"{where}: made_at")
    return Qualification(
        setup=_setup(_mapping(found.get("setup"), f"{where}: setup"), f"{where}: setup"),
        calibration=calibration_of(found.get("calibration"), where),
        cohort=_cohort(found.get("kinds"), tensors, dimension, where),
        figures=figures_of(_mapping(found.get("figures"), f"{where}: figures"), f"{where}: figures"),
        made_at=float(found["made_at"]),
    )


def _setup(found: dict[str, Any], where: str) -> Setup:
    for name in ("length", "hop", "kit"):
        check(found.get(name), _COUNT, f"{where}: {name}")
    for name in ("identity", "number_format"):
        if not isinstance(found.get(name), str):
            raise ModelError(f"{where}: {name}: {shown(found.get(name))} is not text")
    return Setup(**{name: found[name] for name in Setup.__dataclass_fields__})


def figures_of(found: dict[str, Any], where: str) -> Figures:
    """Return the figures in a JSON document; ModelError if it holds none."""
    for name in ("cohort_windows", "scene_windows"):
        check(found.get(name), _COUNT, f"{where}: {name}")
    for name in ("zero_shot", "window_seconds", "label_hours"):
        check(found.get(name), _POSITIVE, f"{where}: {name}")
    recall = _mapping(found.get("recall"), f"{where}: recall")
    return Figures(
        auroc=_figure(found.get("auroc"), f"{where}: auroc"),
        recall={snr: _figure(value, f"{where}: recall") for snr, value in recall.items()},
        false_alarms=_figure(found.get("false_alarms"), f"{where}: false_alarms"),
        zero_shot=float(found["zero_shot"]),
        window_seconds=float(found["window_seconds"]),
        cohort_windows=found["cohort_windows"],
        scene_windows=found["scene_windows"],
        label_hours=float(found["label_hours"]),
    )


def _figure(value: object, where: str) -> Figure:
    found = _mapping(value, where)
    for name in ("value", "low", "high"):
        check(found.get(name), _POSITIVE, f"{where}.{name}")
    return Figure(float(found["value"]), float(found["low"]), float(found["high"]))


def _cohort(kinds: object, tensors: dict[str, NDArray[Any]], dimension: int, where: str) -> Cohort:
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise ModelError(f"{where}: kinds: {shown(kinds)} is not a list of prompts")
    embeddings, kind_of, prompts = (tensors.get(name) for name in ("embeddings", "kind_of", "prompts"))
    if embeddings is None or kind_of is None or prompts is None:
        raise ModelError(f"{where}: a tensor is missing")
    n = len(embeddings) if embeddings.ndim else 0
    shapes = [(n, dimension), (n,), (len(kinds), dimension)]
    if not 1 < n <= _MOST_WINDOWS or [embeddings.shape, kind_of.shape, prompts.shape] != shapes:
        raise ModelError(
            f"{where}: the tensors have the shapes {embeddings.shape}, {kind_of.shape} and {prompts.shape}, "
            f"the checkpoint's embeddings {dimension} numbers"
        )
    if any(tensor.dtype != np.int16 for tensor in (embeddings, kind_of, prompts)):
        raise ModelError(f"{where}: the tensors are not 16-bit integers")
    if kind_of.min() < -1 or kind_of.max() >= len(kinds):
        raise ModelError(f"{where}: kind_of: there are {len(kinds)} kinds of sound")
    lengths = np.linalg.norm(embeddings.astype(np.float32) / UNIT, axis=1)
    if not np.all(np.abs(lengths - 1.0) < 0.01):  # noqa: PLR2004 - rounding changes less
        raise ModelError(f"{where}: embeddings: are not unit vectors but {lengths.max():g} long")
    return Cohort(embeddings, kind_of, tuple(kinds), prompts)


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"{where}: {shown(value)} is not a mapping")
    return value
