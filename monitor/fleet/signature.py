"""Signature of a watchlist: Ed25519, so that a node can check it, and a stolen node cannot make one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monitor.config import find_secret
from monitor.system.boundary import boundary
from monitor.system.bounded_read import DamagedError, read_bytes
from monitor.types import ConfigError

MOST_BYTES = 16_384
"""Size of a key file; a key in PEM has less than two hundred bytes."""

Sign = Callable[[bytes], str]
"""Return the signature of a content, in base64."""

Verify = Callable[[bytes, str], bool]
"""Return whether a signature, in base64, is one of a content."""


def read_verifier(path: Path) -> Verify:
    """Return the check of signatures with the public key in a file.

    Raises
    ------
    ConfigError
        The file is missing, is no such key, or the extra is not installed.
    """
    key = _loaded(path, "load_pem_public_key", "fleet.public_key_file")
    return _verifier(key)


def read_signer(path: Path) -> tuple[Sign, Verify]:
    """Return how contents are signed with the private key in a file, and how that is checked.

    Raises
    ------
    ConfigError
        As `read_verifier`.
    """
    key = _loaded(path, "load_pem_private_key", "--key")

    def sign(content: bytes) -> str:
        return base64.b64encode(key.sign(content)).decode()

    return sign, _verifier(key.public_key())


def _verifier(key: Any) -> Verify:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - the extra `fleet`

    def verify(content: bytes, signature: str) -> bool:
        try:
            key.verify(base64.b64decode(signature, validate=True), content)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    return verify


def _loaded(path: Path, load: str, what: str) -> Any:
    """Return an Ed25519 key."""
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - the extra `fleet`
    except ImportError as error:
        raise ConfigError(
            f"{what}: the signature needs cryptography, not installed here: pip install 'clap-monitor[fleet]'"
        ) from error
    try:
        content = read_bytes(find_secret(path), MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"{what}: {path}: cannot be read: {error.strerror}") from error
    except DamagedError as error:
        raise ConfigError(f"{what}: {path}: {error}") from error
    options = {"password": None} if load == "load_pem_private_key" else {}
    with boundary(ConfigError, f"{what}: {path}: is not a key in PEM"):
        key = getattr(serialization, load)(content, **options)
    if "Ed25519" not in type(key).__name__:
        raise ConfigError(f"{what}: {path}: is not a key of Ed25519: see docs/fleet.md for how to make one")
    return key
