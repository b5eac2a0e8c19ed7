"""Commands that list and change labels: labels list, add, remove, enable, disable."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.cli.app import AsJson, ConfigFile, LabelName, labels_app
from monitor.cli.options import Overrides, settings_from
from monitor.cli.remote import StateDirectory
from monitor.types import ConfigError


@labels_app.command("list")
def list_labels(config: ConfigFile = None, state: StateDirectory = None, as_json: AsJson = False) -> None:
    """List the labels of the running monitor, or those of the next start."""
    from monitor.daemon.label_command import list_labels as listed

    labels, _ = listed(settings_from(config, Overrides(state=state)))
    for label in labels:
        print(json.dumps(label, ensure_ascii=False) if as_json else _line(label))


@labels_app.command()
def add(
    label: Annotated[
        str, typer.Argument(metavar="LABEL", help="Identifier; one of a prompt pack needs no prompt.")
    ],
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", help="Prompt for the sound; repeatable.")
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option("--against", help="Prompt for a sound it is mistaken for; repeatable.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Display name.")] = None,
    threshold: Annotated[float | None, typer.Option("--threshold", help="Threshold in [0, 1].")] = None,
    pattern: Annotated[str | None, typer.Option("--pattern", help="Rhythm of an alarm: t3 or t4.")] = None,
    config: ConfigFile = None,
    state: StateDirectory = None,
) -> None:
    """Add a label; a running monitor detects it from the next window on, and so does the next run."""
    given = {"prompts": prompt, "against": against, "name": name, "threshold": threshold, "pattern": pattern}
    keys = {key: value for key, value in given.items() if value is not None and value != []}
    _change(config, state, "add", {**_of_pack(label, needed=not prompt), **keys, "id": label})


@labels_app.command()
def remove(label: LabelName, config: ConfigFile = None, state: StateDirectory = None) -> None:
    """Remove a label; the configuration file is not changed."""
    _change(config, state, "remove", label)


@labels_app.command()
def enable(label: LabelName, config: ConfigFile = None, state: StateDirectory = None) -> None:
    """Detect a label again."""
    _change(config, state, "enable", label)


@labels_app.command()
def disable(label: LabelName, config: ConfigFile = None, state: StateDirectory = None) -> None:
    """Do not detect a label until it is enabled."""
    _change(config, state, "disable", label)


def _change(
    config: Path | None, state: Path | None, action: str, argument: str | Mapping[str, object]
) -> None:
    from monitor.daemon.label_command import change_label

    live = change_label(settings_from(config, Overrides(state=state)), action, argument)
    id_ = argument if isinstance(argument, str) else argument["id"]
    words = f"{action}d" if action.endswith("e") else f"{action}ed"
    print(f"{id_}: {words}; {'in force now' if live else 'in force at the next start'}")


def _of_pack(label: str, *, needed: bool) -> Mapping[str, Any]:
    """Return the keys of a label of a prompt pack; none if there is no such label.

    Raises
    ------
    ConfigError
        There is none, and it is needed.
    """
    from monitor.config.prompt_packs import PACKS, pack_labels

    known = {each["id"]: each for pack in PACKS for each in pack_labels(pack)}
    if label not in known and needed:
        close = difflib.get_close_matches(label, known, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ConfigError(
            f"{label[:32]!r} is a label of no prompt pack{hint}: describe its sound with --prompt"
        )
    return known.get(label, {})


def _line(label: Mapping[str, Any]) -> str:
    mark = "on " if label["enabled"] else "off"
    thresholds = sorted(set(label["thresholds"].values())) or [label["threshold"]]
    threshold = " to ".join(f"{each:.2f}" for each in dict.fromkeys((thresholds[0], thresholds[-1])))
    pattern = f" [{label['pattern']}]" if label["pattern"] else ""
    prompts = "; ".join(label["prompts"]) or "(learned from examples)"
    return f"{mark} {label['id']:<20} {threshold}{pattern}  {prompts}"
