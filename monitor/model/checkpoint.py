"""Checkpoint: the files of one CLAP model, checked without importing torch.

A checkpoint is a directory that ``ClapModel.from_pretrained`` and ``ClapProcessor.from_pretrained`` can
load: model configuration, weights, tokenizer and preprocessor configuration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from monitor.model.audio_config import AudioConfig, audio_config_of, check_spectrograms
from monitor.model.config_ranges import shown
from monitor.model.mel_config import MelConfig, mel_config_of
from monitor.model.onnx_manifest import MANIFEST, Manifest, read_manifest
from monitor.model.text_config import check_text_config
from monitor.system.boundary import boundary, explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ModelError

# Safetensors hold only numbers; a .bin is a pickle, which is read with weights_only.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_PREPROCESSOR = ("processor_config.json", "preprocessor_config.json")
# Each line is one required part, in its alternative forms, the preferred form first.
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
"""Files that may belong to a checkpoint, except the weights."""

_VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A directory with a CLAP model, described by its small files."""

    path: Path
    mel_config: MelConfig
    audio_config: AudioConfig
    weights: Path | None
    """Weights for torch; None for an ONNX export in a directory of its own."""
    commit: str | None
    """Commit of a hub snapshot; None for any other directory."""
    fingerprint: str
    """Text that changes whenever a file is written or replaced."""

    @property
    def identity(self) -> str:
        """Text that changes with the content of the files alone: the commit, or a hash of all of it.

        What belongs to a checkpoint (the memory, examples, a calibration) holds for a copy of it too, for an
        export of it, and after the package was installed again.

        Raises
        ------
        ModelError
            A file cannot be read.
        """
        if self.weights is None:
            return _exported(self.path).identity
        return self.commit or _content_hash(self.path, self.fingerprint)

    @property
    def torch_weights(self) -> Path:
        """Weights for torch; raises ModelError for an export in a directory of its own."""
        if self.weights is None:
            raise ModelError(
                f"{self.path}: is an ONNX export without weights for torch: use `model.engine: onnx`, or the "
                "checkpoint that it was made from"
            )
        return self.weights


def largest(name: str) -> int:
    """Maximum size of a file, in bytes: ten times the largest known one."""
    if name in WEIGHTS:
        return 8 * 2**30
    return 64 * 2**20 if name in _VOCABULARIES else 2**20


def names_in(path: Path) -> set[str]:
    """Names of the checkpoint files in a directory.

    Raises
    ------
    ModelError
        The directory cannot be searched.
    """
    with boundary(ModelError, str(path)):
        return {name for name in (*FILES, *WEIGHTS) if (path / name).is_file()}


def lacking(names: Collection[str]) -> list[str]:
    """List the parts of a checkpoint that are not among these file names."""
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
        Files are missing or broken, belong to another kind of model, or contradict each other.
    """
    names = names_in(path)
    exported = names.isdisjoint(WEIGHTS) and (path / MANIFEST).is_file()
    without = lacking({*names, *WEIGHTS} if exported else names)
    if without:
        raise ModelError(f"{path}: not a CLAP checkpoint: missing {', '.join(without)}")
    config, origin = _json(path / "config.json"), str(path / "config.json")
    if config.get("model_type") != "clap":
        raise ModelError(f"{origin}: model_type: {shown(config.get('model_type'))} is not 'clap'")
    mel_config = _mel_config(path)
    audio_config = audio_config_of(config, origin)
    check_spectrograms(audio_config, mel_config, origin)
    weights = None if exported else next(path / name for name in WEIGHTS if name in names)
    size = sum(file.size for file in _exported(path).files.values()) if weights is None else _size(weights)
    check_text_config(config.get("text_config", {}), size, origin)
    _check_sizes(path, names)
    commit = path.name if path.parent.name == "snapshots" else None
    return Checkpoint(path, mel_config, audio_config, weights, commit, commit or _fingerprint(path))


def refuse_changed(files: Checkpoint) -> None:
    """Raise ModelError if the files of a checkpoint have changed since they were read."""
    if read(files.path).fingerprint != files.fingerprint:
        raise ModelError(f"{files.path}: has changed since it was loaded: restart to use the new files")


def _mel_config(path: Path) -> MelConfig:
    """Read the nested form that transformers 5 writes, or the separate file of older versions."""
    joint, own = (path / name for name in _PREPROCESSOR)
    nested = _json(joint).get("feature_extractor") if joint.is_file() else None
    if isinstance(nested, dict):
        return mel_config_of(nested, origin=str(joint))
    if own.is_file():
        return mel_config_of(_json(own), origin=str(own))
    raise ModelError(f"{joint}: feature_extractor: is missing, and so is the file {own.name}")


def _check_sizes(path: Path, names: Collection[str]) -> None:
    """Refuse oversized files before a library reads them whole."""
    for name in sorted(names):
        if _size(path / name) > largest(name):
            raise ModelError(f"{path / name}: is larger than {largest(name):,} bytes")


def _exported(path: Path) -> Manifest:
    """Manifest of an export in a directory of its own."""
    manifest = read_manifest(path)
    if manifest is None:
        raise ModelError(f"{path / MANIFEST}: has been deleted")
    return manifest


def _size(path: Path) -> int:
    with boundary(ModelError, str(path)):
        return path.stat().st_size


def _fingerprint(path: Path) -> str:
    """Hash of the name, size and modification time of every file that affects an embedding."""
    stats = [(name, (path / name).stat()) for name in (*FILES, *WEIGHTS) if (path / name).is_file()]
    lines = "\n".join(f"{path.resolve()}/{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
    return hashlib.sha256(lines.encode()).hexdigest()[:40]


@lru_cache(maxsize=8)
def _content_hash(path: Path, _fingerprint: str) -> str:
    """Hash of every file that affects an embedding; a gigabyte takes a second, once for a fingerprint."""
    total = hashlib.blake2b(digest_size=20)
    for name in (*FILES, *WEIGHTS):
        if not (path / name).is_file():
            continue
        with boundary(ModelError, f"{path / name}: cannot be read"), (path / name).open("rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20))
        total.update(f"{name} {content.hexdigest()}\n".encode())
    return total.hexdigest()


def _json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path, largest(path.name))
    except DamagedError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {explain(error)}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: is not a mapping")
    return content
