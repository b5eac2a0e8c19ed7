"""The files of one CLAP checkpoint, judged before anything heavy is imported.

A checkpoint is a directory that ``ClapModel.from_pretrained`` and ``ClapProcessor.from_pretrained``
load: configuration, weights, tokenizer, and the preprocessor configuration that gives `MelConfig`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.model.config_ranges import check_mapping, shown
from monitor.model.mel_config import MelConfig, mel_config_of
from monitor.model.tower_config import TOP, check_audio, check_text
from monitor.system.boundary import boundary, explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ModelError

# Each line is one thing that a checkpoint needs, in the forms it comes in, the preferred form first.
# Safetensors hold nothing but numbers; a .bin is a pickle, read with weights_only.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_PREPROCESSOR = ("processor_config.json", "preprocessor_config.json")
_NEEDED: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("config.json",),),
    tuple((name,) for name in WEIGHTS),
    tuple((name,) for name in _PREPROCESSOR),
    (("tokenizer.json",), ("vocab.json", "merges.txt")),
)
FILES = (
    "config.json",
    *_PREPROCESSOR,
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""Everything but the weights that may belong to a checkpoint."""

_VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A directory that holds a CLAP model, as far as its small files tell."""

    path: Path
    mel_config: MelConfig
    weights: Path
    commit: str | None
    """Commit of a snapshot of the hub, None for any other directory."""
    identity: str
    """Changes whenever the files do."""
    config: Mapping[str, Any] = field(compare=False, repr=False)
    """What ``config.json`` holds."""


def largest(name: str) -> int:
    """Bytes that a file of a checkpoint may have; the largest known have a tenth of it."""
    if name in WEIGHTS:
        return 8 * 2**30
    return 64 * 2**20 if name in _VOCABULARIES else 2**20


def names_in(path: Path) -> set[str]:
    """Which files of a checkpoint there are in a directory.

    Raises
    ------
    ModelError
        It cannot be searched.
    """
    with boundary(ModelError, str(path)):
        return {name for name in (*FILES, *WEIGHTS) if (path / name).is_file()}


def missing(path: Path) -> list[str]:
    """Name what ``path`` lacks to be a checkpoint; nothing if it is one; raises as `names_in` does."""
    return lacking(names_in(path))


def lacking(names: Collection[str]) -> list[str]:
    """Name what files of these names lack to be a checkpoint."""
    return [
        " or ".join(" and ".join(each) for each in forms)
        for forms in _NEEDED
        if not any(all(name in names for name in each) for each in forms)
    ]


def read(path: Path) -> Checkpoint:
    """Read the small files of a checkpoint.

    Raises
    ------
    ModelError
        Files are missing or broken, are those of another kind of model, or their numbers do not fit
        each other.
    """
    names = names_in(path)
    without = lacking(names)
    if without:
        raise ModelError(f"{path}: not a CLAP checkpoint: without {', '.join(without)}")
    config = _json(path / "config.json")
    if config.get("model_type") != "clap":
        raise ModelError(
            f"{path / 'config.json'}: model_type: {shown(config.get('model_type'))} is not 'clap'"
        )
    mel_config = _mel_config(path)
    check_mapping(config, TOP, f"{path / 'config.json'}: config")
    check_audio(config.get("audio_config", {}), mel_config, path / "config.json")
    weights = next(path / name for name in WEIGHTS if name in names)
    check_text(config.get("text_config", {}), _size(weights), path / "config.json")
    _check_sizes(path, names)
    commit = path.name if path.parent.name == "snapshots" else None
    return Checkpoint(path, mel_config, weights, commit, commit or _fingerprint(path), config)


def read_mel_config(path: Path) -> MelConfig:
    """Geometry of the checkpoint in a directory; raises as `read` does."""
    return read(path).mel_config


def _mel_config(path: Path) -> MelConfig:
    """Read the nested form that transformers 5 writes, or the file of its own that came before."""
    joint, own = (path / name for name in _PREPROCESSOR)
    nested = _json(joint).get("feature_extractor") if joint.is_file() else None
    if isinstance(nested, dict):
        return mel_config_of(nested, origin=str(joint))
    if own.is_file():
        return mel_config_of(_json(own), origin=str(own))
    raise ModelError(f"{joint}: feature_extractor: not there, nor a file {own.name}")


def _check_sizes(path: Path, names: Collection[str]) -> None:
    """Refuse files that are larger than any of their kind, before something reads them whole."""
    for name in sorted(names):
        if _size(path / name) > largest(name):
            raise ModelError(f"{path / name}: is larger than {largest(name):,} bytes")


def _size(path: Path) -> int:
    with boundary(ModelError, str(path)):
        return path.stat().st_size


def _fingerprint(path: Path) -> str:
    """Name, size and time of change of every file that decides an embedding, hashed."""
    stats = [(name, (path / name).stat()) for name in (*FILES, *WEIGHTS) if (path / name).is_file()]
    lines = "\n".join(f"{path.resolve()}/{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
    return hashlib.sha256(lines.encode()).hexdigest()[:40]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path, largest(path.name))
    except DamagedError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {explain(error)}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no mapping")
    return content
