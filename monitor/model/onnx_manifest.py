"""ONNX manifest: what an export of a checkpoint consists of, and which checkpoint it was made from.

An export is ``audio.onnx`` and ``text.onnx`` with their weights, beside the files of the checkpoint or in a
directory of its own.  The manifest is written last, so an export without one was never finished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monitor.model.config_ranges import Range, check, check_mapping, shown
from monitor.system.boundary import boundary, explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ModelError

MANIFEST = "onnx.json"
AUDIO, AUDIO_INT8, TEXT = "audio.onnx", "audio-int8.onnx", "text.onnx"

SCHEMA = 1
AGAIN = "make it again with `clap-monitor export`"

_MOST_BYTES = 65_536
_POSITIVE = Range(0, 1e9, whole=False, above=True)
_NUMBERS = {
    "logit_scale": _POSITIVE,
    "longest_prompt": Range(1, 65_536),
    "padding_token": Range(0, 2_000_000),
    "cosine": Range(-1, 2, whole=False),
}


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """Size and content of one file."""

    size: int
    """Bytes."""
    digest: str
    """BLAKE2b of 20 bytes, in hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An audio encoder beside torch's in float32, measured before the export was written."""

    cosine: float
    """Least cosine of the embeddings."""
    seconds: float
    """Time for one window on the machine that made the export."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Export of a checkpoint."""

    identity: str
    """`Checkpoint.identity` of the checkpoint that it was made from."""
    files: Mapping[str, ExportedFile]
    """By name."""
    tokenizer: str
    """Name of the tokenizer's file."""
    logit_scale: float
    """Learnt factor from cosine to logit."""
    longest_prompt: int
    """Tokens."""
    padding_token: int
    cosine: float
    """Least cosine to torch's embeddings, measured before the export was written."""
    seconds: Mapping[str, float]
    """Time that each engine took for one window on the machine that made the export."""
    versions: Mapping[str, str]
    """Of the packages that made it."""
    int8: Measured | None = None
    """The audio encoder in int8; None if it was not exported."""

    @property
    def onnx_pays(self) -> bool:
        """Whether ONNX Runtime was measured to be as fast as torch, within 3 %; it is smaller anyway."""
        return self.seconds["onnx"] <= 1.03 * self.seconds["torch"]

    def as_json(self) -> bytes:
        """Content of the file."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, allow_nan=False).encode() + b"\n"


def read_manifest(directory: Path) -> Manifest | None:
    """Read the manifest of an export; None if there is no export.

    Raises
    ------
    ModelError
        It is damaged, or of a later version.
    """
    path = directory / MANIFEST
    try:
        content = read_json(path, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, DamagedError) as error:
        raise ModelError(f"{path}: not the manifest of an export: {explain(error)}: {AGAIN}") from error
    found = check_mapping(content, _NUMBERS, str(path))
    if found.get("schema") != SCHEMA:
        raise ModelError(
            f"{path}: schema: {shown(found.get('schema'))}, but this program reads {SCHEMA}: {AGAIN}"
        )
    with boundary(ModelError, f"{path}: is damaged; {AGAIN}"):
        return _manifest(found, path)


def manifest_of(directory: Path, identity: str) -> Manifest:
    """Manifest of the export of a checkpoint, whose `Checkpoint.identity` is given.

    Raises
    ------
    ModelError
        There is none, it is damaged, or it was made from another checkpoint.
    """
    manifest = read_manifest(directory)
    if manifest is None:
        raise ModelError(f"{directory}: is not exported for ONNX Runtime: run `clap-monitor export`")
    if manifest.identity != identity:
        raise ModelError(
            f"{directory}: its ONNX export is of another checkpoint, or of other weights: {AGAIN}"
        )
    return manifest


def _manifest(found: Mapping[str, Any], path: Path) -> Manifest:
    for engine in ("onnx", "torch"):
        check(found["seconds"][engine], _POSITIVE, f"{path}: seconds.{engine}")
    int8 = found.get("int8")
    if int8 is not None:
        check_mapping(int8, {"cosine": _NUMBERS["cosine"], "seconds": _POSITIVE}, f"{path}: int8")
    names = {*found["files"], str(found["tokenizer"])}
    astray = next((name for name in sorted(names) if Path(name).name != name), None)
    if astray is not None:
        raise ModelError(f"{path}: {shown(astray)} is not a file beside it: {AGAIN}")
    return Manifest(
        identity=str(found["identity"]),
        files={
            name: ExportedFile(int(file["size"]), str(file["digest"]))
            for name, file in found["files"].items()
        },
        tokenizer=str(found["tokenizer"]),
        logit_scale=float(found["logit_scale"]),
        longest_prompt=found["longest_prompt"],
        padding_token=found["padding_token"],
        cosine=float(found["cosine"]),
        seconds={engine: float(found["seconds"][engine]) for engine in ("onnx", "torch")},
        versions={str(name): str(version) for name, version in found["versions"].items()},
        int8=None if int8 is None else Measured(float(int8["cosine"]), float(int8["seconds"])),
    )


def exported_file(path: Path) -> ExportedFile:
    """Size and digest of a file.

    Raises
    ------
    ModelError
        It cannot be read.
    """
    with boundary(ModelError, f"{path}: cannot be read"), path.open("rb") as file:
        content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20))
        return ExportedFile(file.tell(), content.hexdigest())


def refuse_damaged(directory: Path, manifest: Manifest, names: str) -> None:
    """Raise ModelError if a file whose name starts with ``names`` is not as the manifest says."""
    for name, expected in manifest.files.items():
        if name.startswith(names) and exported_file(directory / name) != expected:
            raise ModelError(f"{directory / name}: is damaged, or of another export: {AGAIN}")
