"""Plan of set-up: the configuration that the choices of a person become, and the files of its secrets."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.config import (
    BrokerChoice,
    CameraChoice,
    Choices,
    Config,
    Draft,
    WebConfig,
    load_text,
    slug,
    split_login,
    written,
)
from monitor.system.bounded_read import DamagedError, read_text
from monitor.types import ConfigError

TOKEN_FILE = "web_token"  # noqa: S105 - a name
_LONGEST_SECRET = 64 * 1024

Keys = dict[str, Any]
Keep = Callable[[str, str], Path]
"""Takes the wished name of a file and a secret; returns the path that is to hold it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Files to write."""

    draft: Draft
    text: str
    """Of the configuration."""
    config: Config
    secrets: Mapping[Path, str] = field(repr=False)
    """By the file that is to hold it; those that are there already are left out."""


def plan(draft: Draft, choices: Choices, web: WebConfig) -> Plan:
    """Return what set-up would write; keys of the draft that set-up does not ask for stay.

    ``web`` is the page that is served now, and is served at the same address afterwards.

    Raises
    ------
    ConfigError
        A choice cannot be used; no message holds a secret.
    """
    if not choices.microphones and not choices.cameras:
        raise ConfigError("sources: none is chosen: choose a microphone, or add a camera")
    files: dict[Path, str] = {}

    def keep(name: str, secret: str) -> Path:
        path = _place(draft.path.parent, name, secret, files)
        files[path] = secret
        return path

    chosen: Keys = {
        "node": choices.node,
        "sources": [
            *(
                {"name": each.name, "kind": "microphone", "device": each.device}
                for each in choices.microphones
            ),
            *(camera_keys(each, keep) for each in choices.cameras),
        ],
        "include": list(choices.packs),
        "labels": _labels(draft, choices),
        "mqtt": None if choices.broker is None else _mqtt_keys(draft, choices.broker, keep),
        "web": _web_keys(draft, web, keep),
    }
    usual = Config()
    rest = {
        key: value
        for key, value in draft.keys.items()
        if key not in chosen and getattr(draft.config, key) != getattr(usual, key)
    }
    text = written({key: value for key, value in chosen.items() if value not in (None, [])} | rest)
    missing = {path: secret for path, secret in files.items() if not path.exists()}
    return Plan(draft, text, load_text(text, draft.path), missing)


def camera_keys(camera: CameraChoice, keep: Keep) -> Keys:
    """Return the keys of a source; a login in the URL becomes a user name and the file of a password."""
    url, user, password = split_login(camera.url)
    keys: Keys = {"name": camera.name, "kind": "stream", "url": url}
    if not camera.tls_verify:
        keys["tls_verify"] = False
    return keys | _login_keys(
        camera.username or user, camera.password or password, keep, f"{camera.name}_password"
    )


def broker_keys(broker: BrokerChoice, keep: Keep) -> Keys:
    """Return the keys of the section `mqtt`."""
    keys: Keys = {"host": broker.host, "port": broker.port}
    if broker.tls:
        keys["tls"] = True
    return keys | _login_keys(broker.username, broker.password, keep, "mqtt_password")


def known_broker(draft: Draft, broker: BrokerChoice) -> Keys:
    """Return the keys of the draft that stay: topics and the like, and what only this broker has."""
    known = draft.config.mqtt
    keys: Keys = known.model_dump(mode="json", exclude_defaults=True, exclude=set(BrokerChoice.model_fields))
    if known.host != broker.host:
        keys = {key: value for key, value in keys.items() if not key.endswith("_file")}
    if known.host != broker.host or known.username != broker.username or broker.password is not None:
        keys = {key: value for key, value in keys.items() if not key.startswith("password_")}
    return keys


def _mqtt_keys(draft: Draft, broker: BrokerChoice, keep: Keep) -> Keys:
    return known_broker(draft, broker) | broker_keys(broker, keep)


def _login_keys(username: str | None, password: str | None, keep: Keep, name: str) -> Keys:
    if username is None:
        return {}
    keys: Keys = {"username": username}
    return keys if password is None else keys | {"password_file": str(keep(name, password))}


def _labels(draft: Draft, choices: Choices) -> list[Keys]:
    """Return the labels of the draft, and that of the prompt.

    Without packs and without labels, the default labels are in force: a prompt must not replace them.
    """
    written_out = draft.config.labels == Config().labels
    labels: list[Keys] = [] if written_out else list(draft.keys.get("labels") or [])
    if choices.prompt is None:
        return labels
    id_ = slug(choices.prompt) or "own_sound"
    if not labels and not choices.packs:
        labels = [
            {"id": label.id, "prompts": list(label.prompts)} for label in Config().labels if label.id != id_
        ]
    return [*(label for label in labels if label.get("id") != id_), {"id": id_, "prompts": [choices.prompt]}]


def _web_keys(draft: Draft, web: WebConfig, keep: Keep) -> Keys:
    """Return the keys of the page: it is served from now on, and has a token if set-up may write one."""
    keys: Keys = web.model_dump(mode="json", exclude_defaults=True) | {"enabled": True}
    if draft.is_ours and web.token_file is None and web.token_env is None:
        keys["token_file"] = str(keep(TOKEN_FILE, secrets.token_hex(24)))
    return keys


def _place(directory: Path, name: str, secret: str, taken: Mapping[Path, str]) -> Path:
    """Return the first file of that name, or with a number behind it, which holds nothing else."""
    numbered: Iterable[str] = (name if number == 1 else f"{name}_{number}" for number in range(1, 1000))
    for each in numbered:
        path = directory / each
        if taken.get(path, secret) == secret and _held(path) in (None, secret):
            return path
    raise ConfigError(f"{directory / name}: there are a thousand files of this name: remove some")


def _held(path: Path) -> str | None:
    """Return the secret in a file, None if there is no file."""
    try:
        return read_text(path, _LONGEST_SECRET).rstrip("\r\n")
    except FileNotFoundError:
        return None
    except (OSError, DamagedError):
        return ""
