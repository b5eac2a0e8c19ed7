"""Watchlist: the labels of a fleet as one versioned JSON document, signed or not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.config import Config, LabelConfig, changed_label
from monitor.detection.overrides import MOST_LABELS
from monitor.fleet.signature import Sign, Verify
from monitor.outputs.mqtt.paho_client import MAX_CONTENT_BYTES
from monitor.system.boundary import printable
from monitor.system.bounded_read import DamagedError, parse_json
from monitor.types import ConfigError

SCHEMA = 1

MAX_BYTES = MAX_CONTENT_BYTES
"""Size of a document; a monitor reads no larger message."""

MAX_VERSION = 2**53
"""Largest version; every reader of JSON can count so far."""

_KEYS = {"schema", "version", "pushed_at", "labels", "signature"}


@dataclass(frozen=True, slots=True)
class Watchlist:
    """Labels of a fleet; a higher version replaces a lower one."""

    version: int
    pushed_at: float
    """Unix seconds."""
    labels: tuple[LabelConfig, ...]
    text: str
    """The whole document as it was published."""


def watchlist_text(version: int, pushed_at: float, labels: Sequence[LabelConfig], sign: Sign | None) -> str:
    """Return the document of a watchlist.

    Raises
    ------
    ConfigError
        A label needs examples, or the document is too large for a message.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": version,
        "pushed_at": round(pushed_at, 3),
        "labels": [label.model_dump(mode="json", exclude_unset=True) for label in labels],
    }
    if sign is not None:
        document["signature"] = sign(signed_content(document))
    text = _canonical(document)
    size = len(text.encode())
    if size > MAX_BYTES:
        fix = "use fewer or shorter prompts"
        raise ConfigError(f"the watchlist has {size:,} bytes; {MAX_BYTES:,} are possible: {fix}")
    return text


def parse_watchlist(text: str, verify: Verify | None) -> Watchlist:
    """Return the watchlist in a message that anybody may have written.

    Raises
    ------
    ConfigError
        It is none, is not signed as ``verify`` wants, or one of its labels is not valid.
    """
    try:
        document = parse_json(text, unique=True)
    except DamagedError as error:
        raise ConfigError(f"the watchlist {error}") from error
    if not isinstance(document, dict) or not document.keys() <= _KEYS:
        raise ConfigError(f"the watchlist is not a mapping of {', '.join(sorted(_KEYS))}")
    if verify is not None:
        _check_signature(document, verify)
    if document.get("schema") != SCHEMA:
        raise ConfigError(f"the watchlist has another schema than {SCHEMA}: update this monitor")
    version, pushed_at = document.get("version"), document.get("pushed_at")
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise ConfigError("the watchlist has no version, a whole number above 0")
    if type(pushed_at) not in {int, float}:
        raise ConfigError("the watchlist does not say when it was pushed")
    return Watchlist(version, float(pushed_at), _labels(document.get("labels")), text)  # type: ignore[arg-type]


def version_in(text: str) -> int | None:
    """Return the version that a message claims to have; None if it has none."""
    try:
        document = parse_json(text)
    except DamagedError:
        return None
    version = document.get("version") if isinstance(document, dict) else None
    return version if type(version) is int else None


def signed_content(document: Mapping[str, Any]) -> bytes:
    """Return what is signed: the document without its signature, in the one spelling of `watchlist_text`."""
    return _canonical({key: value for key, value in document.items() if key != "signature"}).encode()


def over(config: Config, labels: tuple[LabelConfig, ...]) -> Config:
    """Return a configuration with other labels.

    Raises
    ------
    ConfigError
        A source of the configuration detects a label that is not among them.
    """
    known = {label.id for label in labels}
    for source in config.sources:
        missing = [label for label in source.labels or () if label not in known]
        if missing:
            raise ConfigError(f"source {source.name} detects {missing[0]}, which is not in the watchlist")
    return config.model_copy(update={"labels": labels})


def _check_signature(document: Mapping[str, Any], verify: Verify) -> None:
    signature = document.get("signature")
    if signature is None:
        raise ConfigError("the watchlist is not signed: push it with --key")
    if not isinstance(signature, str) or not verify(signed_content(document), signature):
        raise ConfigError("the watchlist is signed with another key, or was changed afterwards")


def _labels(items: object) -> tuple[LabelConfig, ...]:
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_LABELS:
        raise ConfigError(f"the watchlist must have 1 to {MOST_LABELS} labels")
    labels = tuple(_label(number, item) for number, item in enumerate(items))
    ids = [label.id for label in labels]
    if len(set(ids)) < len(ids):
        twice = next(id_ for id_ in ids if ids.count(id_) > 1)
        raise ConfigError(f"the watchlist has the label {twice} twice")
    if not any(label.enabled for label in labels):
        raise ConfigError("the watchlist enables no label")
    return labels


def _label(number: int, item: object) -> LabelConfig:
    if not isinstance(item, dict):
        raise ConfigError(f"labels[{number}] is not a mapping")
    try:
        label = changed_label(None, item)
    except ConfigError as error:
        name = printable(str(item.get("id"))[:32])
        raise ConfigError(f"labels[{number}] ({name}): {error}") from error
    if label.examples:
        raise ConfigError(
            f"labels[{number}] ({label.id}): needs examples, which stay on the monitor that learned them"
        )
    return label


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
