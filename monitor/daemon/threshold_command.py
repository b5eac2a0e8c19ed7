"""Threshold command: applies thresholds, or takes them back, in the running monitor or for the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from monitor.config import Config
from monitor.daemon.control_protocol import Answer
from monitor.daemon.control_socket import NotRunningError, ask_once
from monitor.detection.active_labels import Settings, restore_settings
from monitor.detection.control import Control
from monitor.detection.overrides import FILE, Overrides, write_overrides
from monitor.detection.threshold_changes import Thresholds, apply_thresholds, undo_thresholds
from monitor.types import ConfigError, OutputError

COMMAND = "thresholds"


def threshold_answers(control: Control) -> dict[str, Answer]:
    """Return the answer to the command ``thresholds`` at the control socket."""

    def change(request: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
        thresholds = request.get("apply")
        if request.get("undo") is True:
            control.change_thresholds(undo_thresholds)
        else:
            control.change_thresholds(partial(apply_thresholds, thresholds=_checked(thresholds)))
        yield {"saved": control.saved}

    return {COMMAND: change}


def apply_now(config: Config, thresholds: Thresholds) -> bool:
    """Set thresholds; return whether a running monitor did it, otherwise the next one will.

    Raises
    ------
    ConfigError
        As `apply_thresholds`.
    RefusedError
        The running monitor refuses them.
    OutputError
        They cannot be written.
    """
    return _change(config, {"apply": thresholds}, partial(apply_thresholds, thresholds=thresholds))


def undo_now(config: Config) -> bool:
    """Take the thresholds of the last `apply_now` back; returns and raises as `apply_now` does."""
    return _change(config, {"undo": True}, undo_thresholds)


def _change(config: Config, request: Mapping[str, object], change: Callable[[Settings], Overrides]) -> bool:
    try:
        ask_once(config.state, {"command": COMMAND, **request})
    except NotRunningError:
        path = config.state / FILE
        overrides = change(restore_settings(config, config.state))
        try:
            write_overrides(path, overrides)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        return False
    return True


def _checked(thresholds: object) -> Thresholds:
    if not isinstance(thresholds, dict) or not all(isinstance(known, dict) for known in thresholds.values()):
        raise ConfigError("thresholds: give `apply`, thresholds by source and then by label, or `undo`")
    return thresholds
