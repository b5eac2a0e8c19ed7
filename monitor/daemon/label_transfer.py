"""Label transfer: a label with its examples to a file and from there into this or another monitor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from monitor.config import Config, changed_label
from monitor.daemon.control_socket import ask_once
from monitor.daemon.learn_command import deliver, is_running, next_start
from monitor.detection.active_labels import restore_settings
from monitor.detection.examples import Examples, examples_of
from monitor.detection.examples_file import FOLDER, MOST_BYTES, read_examples
from monitor.system.atomic_file import write_atomic
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ConfigError, OutputError


def export(config: Config, label: str, path: Path) -> None:
    """Write a label and its examples into a file.

    Raises
    ------
    ConfigError
        There is no such label, or it has no examples.
    OutputError
        The file cannot be written.
    """
    found = restore_settings(config, config.state).active_labels.find(label)
    stored = config.state / FOLDER / f"{found.id}.json"
    if not stored.exists():
        raise ConfigError(f"label {found.id} has no examples; its prompts are in the configuration")
    keys = found.model_dump(mode="json", exclude_unset=True, exclude={"id", "examples"})
    document = read_examples(stored).document() | {"keys": keys}
    try:
        write_atomic(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def load(config: Config, path: Path) -> tuple[str, bool]:
    """Add the label in a file; return its identifier, and whether a running monitor uses it now.

    Raises
    ------
    MonitorError
        The file is damaged, or the label is refused.
    """
    examples, keys = _read(path)
    live = is_running(config.state)
    deliver(config.state, examples, keys, None if live else next_start(config)[0], replace_known=True)
    return examples.label, live


def forget(config: Config, label: str) -> bool:
    """Delete the examples of a label; return whether a running monitor did it.

    Raises
    ------
    MonitorError
        There is no such label, or it has no prompts.
    """
    live = is_running(config.state)
    if live:
        ask_once(config.state, {"command": "forget", "label": label})
    else:
        next_start(config)[0].forget(label)
    return live


def _read(path: Path) -> tuple[Examples, Mapping[str, object]]:
    try:
        document = read_json(path, MOST_BYTES)
        examples = examples_of(document)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except DamagedError as error:
        raise ConfigError(f"{path}: not a label of `clap-monitor labels export`: {error}") from error
    keys = document.get("keys", {})
    if not isinstance(keys, dict):
        raise ConfigError(f"{path}: keys is not a mapping")
    changed_label(None, {**keys, "id": examples.label, "examples": True})
    return examples, keys
