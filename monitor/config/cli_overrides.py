"""Command-line overrides of the configuration: labels, sources, and the address of the web page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from monitor.config.errors import explain, key_path
from monitor.config.labels import LabelConfig
from monitor.config.models import Config
from monitor.config.section import MAX_PROMPT
from monitor.config.sources import SourceConfig
from monitor.config.validators import one_line, slug
from monitor.config.web import WebConfig
from monitor.config.yaml_reader import Node
from monitor.system.boundary import printable
from monitor.types import ConfigError


def replace_labels(config: Config, prompts: Sequence[str]) -> Config:
    """Replace the labels: each prompt becomes a label of its own, whose name is the prompt.

    Raises
    ------
    ConfigError
        A prompt is empty or too long, or there is none.
    """
    texts = list(dict.fromkeys(map(one_line, prompts)))
    if not texts:
        raise ConfigError("--label: give at least one prompt")
    for text in texts:
        if not 0 < len(text) <= MAX_PROMPT:
            raise ConfigError(
                f'--label "{text[:20]}": has {len(text)} characters; it must have 1 to {MAX_PROMPT}'
            )
    ids = _distinct(slug(text) or "label" for text in texts)
    labels = tuple(_label(id_, text) for id_, text in zip(ids, texts, strict=True))
    sources = tuple(source.model_copy(update={"labels": None}) for source in config.sources)
    return config.model_copy(update={"labels": labels, "sources": sources})


def _label(id_: str, text: str) -> LabelConfig:
    try:
        return LabelConfig(id=id_, name=text, prompts=(text,))
    except ValidationError as error:
        _, _, words = next(explain(error, LabelConfig, Node(1)))
        raise ConfigError(f"--label {printable(text[:20])}: {words}") from error


def replace_sources(config: Config, sources: Sequence[SourceConfig]) -> Config:
    """Replace the sources; if several have the same name, the later ones get a number.

    Raises
    ------
    ConfigError
        There is none, or two read standard input.
    """
    if not sources:
        raise ConfigError("--source: give at least one")
    if sum(source.kind == "pcm" for source in sources) > 1:
        raise ConfigError("--source -: standard input can be read only once")
    names = _distinct(source.name for source in sources)
    renamed = (source.model_copy(update={"name": name}) for source, name in zip(sources, names, strict=True))
    return config.model_copy(update={"sources": tuple(renamed)})


def serve_at(config: Config, address: str) -> Config:
    """Enable the web page at ``HOST:PORT``, ``:PORT``, ``PORT`` or ``HOST``; empty: as configured.

    Raises
    ------
    ConfigError
        The address is not usable.
    """
    host, separator, port = address.rpartition(":")
    if "]" in port or (not separator and not port.isdecimal()):
        host, port = address, ""
    keys: dict[str, object] = {**config.web.model_dump(), "enabled": True}
    if host:
        keys["host"] = host.strip("[]")
    if port:
        keys["port"] = int(port[:9]) if port.isascii() and port.isdecimal() else port
    try:
        web = WebConfig.model_validate(keys)
    except ValidationError as error:
        lines = [
            f"--web {address}: {key_path(place)}: {words}"
            for _, place, words in explain(error, WebConfig, Node(1))
        ]
        raise ConfigError("\n".join(lines)) from error
    return config.model_copy(update={"web": web})


def source_from_argument(
    text: str,
    *,
    rate: int | None = None,
    format: str | None = None,  # noqa: A002 - the name of the key and of the option
    channels: int | None = None,
) -> SourceConfig:
    """Source that a command-line argument describes.

    Parameters
    ----------
    text : str
        ``-``: raw samples on standard input; a text with ``://``: the URL of a stream; an existing file, or a
        text with a ``/`` or a suffix like ``.wav``: a sound file; digits: the index of a microphone; anything
        else: part of the name of a microphone.
    rate, format, channels
        Format of raw samples; ignored for other kinds.

    Raises
    ------
    ConfigError
        The source is not usable.
    """
    keys: dict[str, object]
    if text == "-":
        given = {"rate": rate, "format": format, "channels": channels}
        keys = {
            "name": "stdin",
            "kind": "pcm",
            **{key: value for key, value in given.items() if value is not None},
        }
    elif "://" in text:
        host = re.match(r"[a-z]+://([A-Za-z0-9.-]+)", text)
        keys = {"name": slug(host[1] if host else "") or "stream", "kind": "stream", "url": text}
    elif _is_file(text):
        keys = {"name": slug(Path(text).stem) or "file", "kind": "file", "path": text}
    elif text.isascii() and text.isdecimal():
        keys = {"name": slug(f"device {text}"), "kind": "microphone", "device": int(text[:9])}
    else:
        keys = {"name": slug(text) or "microphone", "kind": "microphone", "device": text}
    try:
        return SourceConfig.model_validate(keys)
    except ValidationError as error:
        lines = [
            f"--source{'' if 'url' in keys else f' {text}'}: {key_path(place)}: {words}"
            for _, place, words in explain(error, SourceConfig, Node(1))
        ]
        raise ConfigError("\n".join(lines)) from error


def _is_file(text: str) -> bool:
    if "/" in text or re.search(r"\S\.[A-Za-z][A-Za-z0-9]{1,4}$", text):
        return True
    try:
        return Path(text).exists() and not Path(text).is_dir()
    except (OSError, ValueError):  # too long for a name, or with a NUL in it
        return False


def _distinct(names: Iterable[str]) -> list[str]:
    """Append ``_2``, ``_3``, ... to names that an earlier one has."""
    taken: list[str] = []
    for name in names:
        number, distinct = 1, name
        while distinct in taken:
            number += 1
            distinct = f"{name[: 31 - len(str(number))]}_{number}"
        taken.append(distinct)
    return taken
