"""The files of one CLAP checkpoint, judged before anything heavy is imported.

A checkpoint is a directory that ``ClapModel.from_pretrained`` and ``ClapProcessor.from_pretrained``
load: configuration, weights, tokenizer, and the preprocessor configuration that gives `Geometry`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.geometry import Geometry, geometry_of
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

# Keys of audio_config that a checkpoint may leave out, with the values of ClapAudioConfig.
_AUDIO_DEFAULTS: dict[str, Any] = {
    "spec_size": 256,
    "num_mel_bins": 64,
    "hidden_size": 768,
    "patch_embeds_hidden_size": 96,
    "depths": [2, 2, 6, 2],
    "enable_fusion": False,
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A directory that holds a CLAP model, as far as its small files tell."""

    path: Path
    geometry: Geometry
    weights: Path
    commit: str | None
    """Commit of a snapshot of the hub, None for any other directory."""
    identity: str
    """Changes whenever the files do."""
    config: Mapping[str, Any] = field(compare=False, repr=False)
    """What ``config.json`` holds."""


def missing(path: Path) -> list[str]:
    """Name what ``path`` lacks to be a checkpoint; nothing if it is one."""
    return [
        " or ".join(" and ".join(names) for names in forms)
        for forms in _NEEDED
        if not any(all((path / name).is_file() for name in names) for names in forms)
    ]


def read(path: Path) -> Checkpoint:
    """Read the small files of a checkpoint.

    Raises
    ------
    ModelError
        Files are missing or broken, are those of another kind of model, or their numbers do not fit
        each other.
    """
    lacking = missing(path)
    if lacking:
        raise ModelError(f"{path}: not a CLAP checkpoint: without {', '.join(lacking)}")
    config = _json(path / "config.json")
    if config.get("model_type") != "clap":
        raise ModelError(f"{path / 'config.json'}: model_type: {config.get('model_type')!r} is not 'clap'")
    geometry = _geometry(path)
    _check_audio(config.get("audio_config", {}), geometry, path / "config.json")
    weights = next(path / name for name in WEIGHTS if (path / name).is_file())
    commit = path.name if path.parent.name == "snapshots" else None
    return Checkpoint(path, geometry, weights, commit, commit or _fingerprint(path), config)


def read_geometry(path: Path) -> Geometry:
    """Geometry of the checkpoint in a directory; raises as `read` does."""
    return read(path).geometry


def _geometry(path: Path) -> Geometry:
    """Read the nested form that transformers 5 writes, or the file of its own that came before."""
    joint, own = (path / name for name in _PREPROCESSOR)
    nested = _json(joint).get("feature_extractor") if joint.is_file() else None
    if isinstance(nested, dict):
        return geometry_of(nested, origin=str(joint))
    if own.is_file():
        return geometry_of(_json(own), origin=str(own))
    raise ModelError(f"{joint}: feature_extractor: not there, nor a file {own.name}")


def _check_audio(audio: object, geometry: Geometry, origin: Path) -> None:
    """Refuse an audio tower that cannot take these features; else it shows at the first window only."""
    if not isinstance(audio, Mapping):
        raise ModelError(f"{origin}: audio_config: {audio!r} is not a mapping")
    keys = {key: audio.get(key, default) for key, default in _AUDIO_DEFAULTS.items()}
    for key in ("spec_size", "num_mel_bins", "hidden_size", "patch_embeds_hidden_size"):
        if not isinstance(keys[key], int) or keys[key] < 1:
            raise ModelError(f"{origin}: audio_config.{key}: {keys[key]!r} is not a whole number above 0")
    if not isinstance(keys["depths"], list) or not keys["depths"]:
        raise ModelError(f"{origin}: audio_config.depths: {keys['depths']!r} is not a list of numbers")
    spec, bins, stages = keys["spec_size"], keys["num_mel_bins"], len(keys["depths"])
    if geometry.mel_bins != bins:
        raise ModelError(
            f"{origin}: audio_config.num_mel_bins: {bins}, but the preprocessor makes {geometry.mel_bins}"
        )
    if spec % bins:
        raise ModelError(f"{origin}: audio_config.spec_size: {spec} is no multiple of num_mel_bins {bins}")
    if geometry.frames > spec * spec // bins:
        raise ModelError(
            f"{origin}: audio_config.spec_size: {spec} holds {spec * spec // bins} frames of {bins} bins, "
            f"but {geometry.seconds:g} s are {geometry.frames} frames"
        )
    if keys["hidden_size"] != keys["patch_embeds_hidden_size"] * 2 ** (stages - 1):
        raise ModelError(
            f"{origin}: audio_config.hidden_size: {keys['hidden_size']} is not patch_embeds_hidden_size "
            f"{keys['patch_embeds_hidden_size']} doubled after each of {stages} stages but the last"
        )
    if geometry.channels > 1 and not keys["enable_fusion"]:
        raise ModelError(
            f"{origin}: audio_config.enable_fusion: {keys['enable_fusion']!r}, but the preprocessor's "
            "truncation 'fusion' makes 4 channels; without fusion it is 'rand_trunc'"
        )


def _fingerprint(path: Path) -> str:
    """Name, size and time of change of every file that decides an embedding, hashed."""
    stats = [(name, (path / name).stat()) for name in (*FILES, *WEIGHTS) if (path / name).is_file()]
    lines = "\n".join(f"{path.resolve()}/{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
    return hashlib.sha256(lines.encode()).hexdigest()[:40]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ModelError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not text: {error.reason}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no mapping")
    return content
