"""Panel of the Home Assistant app: its options, which the user's file overrides.

A key of the user's file replaces the one of the panel, so that the file is never rewritten.  ``mqtt`` and
``web`` are merged key by key: the broker and the address of the page come from Home Assistant.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, StringConstraints, ValidationError

from monitor.config.errors import explain, key_path
from monitor.config.prompt_packs import PackName
from monitor.config.section import Identifier, Section
from monitor.config.yaml_reader import MAX_BYTES, Node
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ConfigError

Keys = dict[str, Any]

_MERGED = ("mqtt", "web")
"""Sections in which the user's file replaces single keys."""


class PanelStream(Section):
    """Camera or radio of the panel."""

    name: Identifier
    url: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    username: str = ""
    password: str = Field(default="", repr=False)


class PanelOptions(Section):
    """Options of the panel, as Home Assistant writes them; its schema allows nothing else."""

    microphone: bool = True
    streams: Annotated[tuple[PanelStream, ...], Field(strict=False, max_length=31)] = ()
    packs: Annotated[tuple[PackName, ...], Field(strict=False, max_length=20)] = ()

    def keys(self) -> Keys:
        """Return the options as keys of the configuration."""
        microphone = [{"name": "microphone", "kind": "microphone"}] if self.microphone else []
        return {
            "sources": [*microphone, *(_stream(*each) for each in enumerate(self.streams, 1))],
            **({"include": list(self.packs)} if self.packs else {}),
        }

    def passwords(self) -> dict[str, str]:
        """Return the passwords of the streams, by the environment variable that `keys` names."""
        found = enumerate(self.streams, 1)
        return {_variable(number): stream.password for number, stream in found if stream.password}


def read_options(path: Path) -> PanelOptions:
    """Read the options that Home Assistant has written; without a file, the defaults.

    Raises
    ------
    ConfigError
        They cannot be read, or have errors: one line for each.
    """
    try:
        return PanelOptions.model_validate(read_json(path, MAX_BYTES))
    except FileNotFoundError:
        return PanelOptions()
    except (OSError, DamagedError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        lines = [
            f"options of the app: {key_path(place) or 'all'}: {words}"
            for _, place, words in explain(error, PanelOptions, Node(1))
        ]
        raise ConfigError("\n".join(lines)) from error


def layered(panel: Mapping[str, Any], user: Mapping[str, Any], fixed: Mapping[str, Any]) -> str:
    """Text of a configuration: the panel's keys, replaced by the user's, and below ``fixed`` by those."""
    keys: Keys = {**panel, **user}
    for section in _MERGED:
        parts = [layer.get(section, {}) for layer in (panel, user, fixed)]
        if all(isinstance(part, dict) for part in parts):
            merged = {key: value for part in parts for key, value in part.items()}
            keys |= {section: merged} if merged else {}
    rest = {key: value for key, value in fixed.items() if key not in _MERGED}
    return yaml.safe_dump(keys | rest, sort_keys=False, allow_unicode=True, width=110)


def _stream(number: int, stream: PanelStream) -> Keys:
    keys: Keys = {"name": stream.name, "kind": "stream", "url": stream.url}
    if stream.username:
        keys["username"] = stream.username
    if stream.password:
        keys["password_env"] = _variable(number)
    return keys


def _variable(number: int) -> str:
    return f"CLAP_MONITOR_STREAM_{number}_PASSWORD"
