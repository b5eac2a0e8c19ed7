"""Watchlists of a fleet, signed or not, and the keys for them."""

import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from monitor.config import LabelConfig
from monitor.fleet.watchlist import watchlist_text

PUSHED_AT = 1_795_435_203.0


def labels(*ids, **keys):
    return tuple(LabelConfig(id=id_, prompts=(f"a {id_}",), **keys) for id_ in ids)


def text(version, *ids, sign=None, **keys):
    """Return the document of a watchlist."""
    return watchlist_text(version, PUSHED_AT, labels(*ids, **keys), sign)


def changed(document, **keys):
    """Return a document with other keys, and the signature that it had."""
    return json.dumps(json.loads(document) | keys)


def write_keys(directory, name="fleet"):
    """Write a private and a public key; return their paths."""
    key = Ed25519PrivateKey.generate()
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    pem = serialization.Encoding.PEM
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(pem, form, none))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public
