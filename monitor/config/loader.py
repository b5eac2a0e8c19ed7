"""Configuration loader: files, the packaged example, and the JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from monitor.config.errors import explain, key_path
from monitor.config.models import Config
from monitor.config.validators import Place, check_path
from monitor.config.yaml_reader import MAX_BYTES, Document, Node, YamlError, parse
from monitor.system.boundary import boundary
from monitor.types import ConfigError

MOST_FAULTS = 100
"""Errors of a file that are reported; further ones are counted: a file of another kind has many."""

_EXAMPLE = Path(__file__).with_name("example.yaml")


def load(path: Path | str) -> Config:
    """Read a YAML file in UTF-8 of at most 256 KiB; missing keys have their defaults, and it may be empty.

    Raises
    ------
    ConfigError
        One line for each error: ``path:LINE: labels[2].threshold: 1.4 is not in [0, 1]``.
    """
    return load_text(_read(Path(path)), path)


def load_text(text: str, path: Path | str, *, without: str | None = None) -> Config:
    """Validate the text of a file, which need not exist, as if the key ``without`` were left out.

    Raises as `load`, with ``path`` in each line.
    """
    document = _parsed(path, text)
    if without is not None and isinstance(document.data, dict):
        document.data.pop(without, None)
    misread = [*document.cut, *_unfilled(document.root, ())]
    faults = [*document.duplicates, *misread]
    config = None
    with boundary(ConfigError, f"{path}:1"):
        try:
            config = Config.model_validate(document.data)
        except ValidationError as error:
            known = {place for _, place, _ in misread}
            more = explain(error, Config, document.root)
            faults += [fault for fault in more if fault[1] not in known]
    if config is None or faults:
        faults.sort(key=lambda each: each[0])
        lines = [_line(path, *fault) for fault in faults[:MOST_FAULTS]]
        if len(faults) > MOST_FAULTS:
            lines.append(f"{path}:{faults[-1][0]}: and {len(faults) - MOST_FAULTS} more errors")
        raise ConfigError("\n".join(lines))
    return config


def read_keys(path: Path) -> tuple[str, dict[str, Any]]:
    """Text of a file, and its top-level keys; only whether it is YAML is checked.

    Raises
    ------
    ConfigError
        It is missing or cannot be read, or it is no mapping in YAML.
    """
    text = _read(path)
    data = _parsed(path, text).data
    if not isinstance(data, dict):
        raise ConfigError(f"{path}:1: is not a mapping of keys to values")
    return text, data


def state_of(path: Path | str | None) -> Path:
    """State directory of a configuration that may have errors elsewhere; without a file, the default.

    Raises
    ------
    ConfigError
        The file cannot be read, or is not YAML.
    """
    default = Config().state
    if path is None:
        return default
    content = _parsed(path, _read(Path(path))).data
    state = content.get("state") if isinstance(content, dict) else None
    with boundary(ConfigError, f"{path}: state"):
        try:
            return check_path(Path(state)) if isinstance(state, str) and state else default
        except PydanticCustomError as error:
            raise ConfigError(f"{path}: state: {error}") from error


def _parsed(path: Path | str, text: str) -> Document:
    with boundary(ConfigError, f"{path}:1"):
        try:
            return parse(text)
        except YamlError as error:
            raise ConfigError(f"{path}:{error.line}: {error.message}") from error


def example() -> str:
    """Text of the commented example, whose values are the defaults."""
    return _EXAMPLE.read_text(encoding="utf-8")


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the configuration, with a description of every key.

    Rules between two keys are not in it; `load` checks them.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(),
        "title": "clap-monitor configuration",
    }


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)[^}]*\}|^\$([A-Z_][A-Z0-9_]*)$")


def _unfilled(node: Node, place: Place) -> Iterator[tuple[int, Place, str]]:
    """Values that refer to an environment variable; they are not expanded."""
    if place and place[-1] == "command":
        return  # a shell in the command may expand it
    found = _VARIABLE.search(node.text or "")
    if found is not None and node.text != "$SYS":  # a topic, which has its own error
        words = (
            f"contains ${{{found[1] or found[2]}}}, but variables are not expanded; write the value itself"
        )
        yield node.line, place, words
    for index, item in enumerate(node.items or ()):
        yield from _unfilled(item, (*place, index))
    for key, (_, value) in (node.keys or {}).items():
        yield from _unfilled(value, (*place, key))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; write one with: clap-monitor init {path}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{str(path)!r}: is not a valid path") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_BYTES // 1024} KiB; it cannot be a configuration")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def _line(path: Path | str, line: int, place: tuple[str | int, ...], message: str) -> str:
    key = f"{key_path(place)}: " if place else ""
    return f"{path}:{line}: {key}{message}"
