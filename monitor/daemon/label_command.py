"""Label command: labels are listed and changed, in the running monitor or for the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from monitor.config import Config, LabelConfig
from monitor.daemon.control_protocol import Answer
from monitor.daemon.control_socket import NotRunningError, ask_once
from monitor.detection import label_changes
from monitor.detection.active_labels import ActiveLabels, Settings, changed_settings, restore_settings
from monitor.detection.control import Control
from monitor.detection.overrides import FILE, Overrides, write_overrides
from monitor.types import ConfigError, OutputError

COMMAND = "labels"

_KEYS = ("name", "enabled", "prompts", "against", "threshold", "pattern")

_NOT_RUNNING = (FileNotFoundError, NotADirectoryError, ConnectionRefusedError)
"""Causes of a `NotRunningError` for which no monitor runs; otherwise one runs that cannot be reached."""


def label_answers(control: Control) -> dict[str, Answer]:
    """Return the answer to the command ``labels`` at the control socket."""

    def answer(request: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
        label = str(request.get("label"))
        match request.get("action"):
            case "list":
                pass
            case "add" if isinstance(request.get("keys"), dict):
                control.add_label(request["keys"])
            case "remove":
                control.remove_label(label)
            case "enable" | "disable" as action:
                control.enable_label(label, enabled=action == "enable")
            case _:
                raise ConfigError("labels: action must be list, add (with keys), remove, enable or disable")
        yield {"labels": _described(control.active_labels), "saved": control.saved}

    return {COMMAND: answer}


def change_label(config: Config, action: str, argument: str | Mapping[str, object]) -> bool:
    """Change a label; return whether a running monitor did it, otherwise the next one will.

    Parameters
    ----------
    config : Config
        Its state directory says which monitor.
    action : str
        ``add``, ``remove``, ``enable`` or ``disable``.
    argument : str or mapping of str to object
        Identifier of the label; for ``add`` all its keys.

    Raises
    ------
    ConfigError, RefusedError
        The change is refused.
    OutputError
        The change cannot be written.
    NotRunningError
        A monitor runs, and does not answer.
    """
    key = "keys" if action == "add" else "label"
    answer = _ask(config, {"action": action, key: argument})
    if answer is None:
        settings = restore_settings(config, config.state)
        changed = changed_settings(settings, _changed(settings, action, argument))
        path = config.state / FILE
        try:
            write_overrides(path, changed.overrides)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    return answer is not None


def list_labels(config: Config) -> tuple[list[Mapping[str, Any]], bool]:
    """Return all labels, and whether a running monitor has them in force.

    Raises
    ------
    NotRunningError
        A monitor runs, and does not answer.
    """
    answer = _ask(config, {"action": "list"})
    if answer is None:
        return _described(restore_settings(config, config.state).active_labels), False
    return answer["labels"], True


def _ask(config: Config, request: Mapping[str, object]) -> dict[str, Any] | None:
    """Return the answer of the running monitor; None if there is none."""
    try:
        return ask_once(config.state, {"command": COMMAND, **request})
    except NotRunningError as error:
        if not isinstance(error.__cause__, _NOT_RUNNING):
            raise
        return None


def _changed(settings: Settings, action: str, argument: str | Mapping[str, object]) -> Overrides:
    if not isinstance(argument, str):
        return label_changes.add_label(settings, argument)
    if action == "remove":
        return label_changes.remove_label(settings, argument)
    return label_changes.enable_label(settings, argument, enabled=action == "enable")


def _described(active_labels: ActiveLabels) -> list[Mapping[str, Any]]:
    return [_of(label, active_labels) for label in active_labels.labels]


def _of(label: LabelConfig, active_labels: ActiveLabels) -> Mapping[str, Any]:
    keys = label.model_dump(mode="json", include=set(_KEYS)) | {"name": label.title}
    return {"id": label.id, **keys, "thresholds": active_labels.thresholds(label.id)}
