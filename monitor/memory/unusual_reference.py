"""Reference of unusual sounds: what a source usually has at a time of day, in a file of the state directory.

::

    magic (8 bytes), length of the header (4), header (JSON), vectors (n * d * 2), CRC-32 of all (4)
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from monitor.detection.nearest_neighbours import MOST
from monitor.detection.quantised import Rows
from monitor.detection.unusual_detector import UsualSounds
from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import boundary, explain
from monitor.system.bounded_read import DamagedError, parse_json, read_bytes
from monitor.system.directories import make_directory
from monitor.types import MonitorError

DIRECTORY = "unusual"
"""Directory in the state directory."""

HOLDS_SECONDS = 2 * 3_600.0
"""After this long it is of another time of day."""

_MAGIC = b"CLAPUSU1"
_LENGTH = struct.Struct("<I")
_MOST_BYTES = 2 * MOST * 4_096 + 65_536


class ReferenceFileError(MonitorError):
    """A file of usual sounds cannot be used; it is made again within the hour."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a reference is of, and how its threshold was set."""

    identity: str
    """Of the checkpoint."""
    written_at: float
    """Unix seconds."""
    target: str
    """Desired rate, such as ``1/day``."""
    threshold: float
    """Distance in [0, 1]."""
    threshold_at: float
    """Unix seconds at which it was set."""
    words: str
    """How well the rate at the threshold is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a source usually has at a time of day."""

    basis: Basis
    rows: Rows
    """Whitened and quantised embeddings, shape (n, d)."""

    @property
    def usual(self) -> UsualSounds:
        """What the detector compares with."""
        return UsualSounds(self.rows, self.basis.threshold, self.basis.written_at + HOLDS_SECONDS)


def reference_path(state: Path, source: str) -> Path:
    """Return the file of a source."""
    return state / DIRECTORY / f"{source}.reference"


def write_reference(path: Path, reference: Reference) -> None:
    """Write a reference completely or not at all.

    Raises
    ------
    OSError
        The disk refuses it.
    """
    header = json.dumps(asdict(reference.basis) | {"dimension": reference.rows.shape[1]}).encode()
    content = _MAGIC + _LENGTH.pack(len(header)) + header + reference.rows.astype("<i2").tobytes()
    make_directory(path.parent)
    write_atomic(path, content + _LENGTH.pack(zlib.crc32(content)))


def read_reference(path: Path, identity: str, dimension: int) -> Reference | None:
    """Read a reference; None if there is no file.

    It is read into memory: a mapped file that another program cuts short would end the process.

    Parameters
    ----------
    path : Path
    identity : str
        Of the checkpoint in use.
    dimension : int
        Of its embeddings.

    Raises
    ------
    ReferenceFileError
        It cannot be read, is damaged, or of another checkpoint.
    """
    try:
        content = read_bytes(path, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, DamagedError) as error:
        raise ReferenceFileError(f"{path}: {explain(error)}") from error
    body, crc = content[: -_LENGTH.size], content[-_LENGTH.size :]
    if not body.startswith(_MAGIC) or _LENGTH.pack(zlib.crc32(body)) != crc:
        raise ReferenceFileError(f"{path}: is damaged")
    with boundary(ReferenceFileError, f"{path}: is damaged"):
        begin = len(_MAGIC) + _LENGTH.size
        stop = begin + _LENGTH.unpack_from(body, len(_MAGIC))[0]
        header = parse_json(body[begin:stop])
        rows = np.frombuffer(body, "<i2", offset=stop).reshape(-1, header.pop("dimension"))
        basis = Basis(**header)
    if basis.identity != identity or rows.shape[1] != dimension or not len(rows):
        raise ReferenceFileError(f"{path}: is of another checkpoint")
    return Reference(basis, rows)
