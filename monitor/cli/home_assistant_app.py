"""Command of the Home Assistant app: its configuration from the panel, the user's file and the Supervisor."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import app
from monitor.cli.logs import say
from monitor.cli.supervisor import (
    ADDRESS,
    Broker,
    NoBrokerError,
    SupervisorError,
    ask_broker,
    remember,
    remembered,
)
from monitor.system.atomic_file import write_atomic
from monitor.types import ConfigError, OutputError

INGRESS_PORT = 8099
_PASSWORD = "CLAP_MONITOR_BROKER_PASSWORD"  # noqa: S105 - the name of a variable
_STUB = """# What the panel of the app does not offer, in YAML: clips, thresholds, quiet hours, other labels.
# A key here replaces the one of the panel.  All keys, with their defaults: all-keys.yaml beside this file.
# Start the app again after a change.
"""


_INTRODUCTION = """# Written at each start of the app from its panel, {file} and Home Assistant.
# Changes here are lost: make them there.
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Files and directories of the app."""

    config: Path = Path("/config")
    """Directory that the user sees."""
    data: Path = Path("/data")
    """Directory of the app, which Home Assistant backs up."""
    media: Path = Path("/media")

    @property
    def user_file(self) -> Path:
        """Configuration that the user writes."""
        return self.config / "monitor.yaml"

    @property
    def effective(self) -> Path:
        """Configuration that the monitor runs with."""
        return self.data / "monitor.yaml"


_USUAL = Places()


@app.command()
def home_assistant_app(
    config: Annotated[Path, typer.Option(help="Directory of the user's monitor.yaml.")] = _USUAL.config,
    data: Annotated[Path, typer.Option(help="Directory of options.json and of the state.")] = _USUAL.data,
    media: Annotated[Path, typer.Option(help="Directory below which recordings are kept.")] = _USUAL.media,
    supervisor: Annotated[str, typer.Option(help="Host and port of the Supervisor.")] = ADDRESS,
) -> None:
    """Run as Home Assistant's app: with the options of its panel, its broker and its ingress."""
    places = Places(config, data, media)
    passwords = prepare(places, supervisor)
    command = [sys.executable, "-m", "monitor", "run", "--config", str(places.effective)]
    sys.stderr.flush()
    os.execve(sys.executable, command, {**os.environ, **passwords})  # noqa: S606 - our own command


def prepare(places: Places, supervisor: str = ADDRESS) -> dict[str, str]:
    """Write the configuration of this start; return the passwords that it takes from the environment.

    The user's file is only read; without one, a commented stub is written for the next time.

    Raises
    ------
    ConfigError
        The panel's options or the user's file have errors.
    OutputError
        The configuration cannot be written.
    """
    from monitor.config import layered, load, load_text, read_keys, read_options

    options = read_options(places.data / "options.json")
    user = read_keys(places.user_file)[1] if places.user_file.exists() else {}
    panel, passwords = options.keys(), options.passwords()
    for key in sorted(panel.keys() & user.keys()):
        say(f"{key}: as in {places.user_file}; what the panel of the app says of it is not used")
    if not (user.get("sources") or panel["sources"]):
        raise ConfigError(
            f"options of the app: no source: switch on the microphone or add a stream, or write sources into "
            f"{places.user_file}"
        )
    broker = None if _names_a_broker(user) else _broker(places.data / "broker.json", supervisor)
    if broker is not None:
        panel["mqtt"] = broker.keys(_PASSWORD)
        passwords[_PASSWORD] = broker.password or ""
    panel |= {"state": str(places.data / "state"), "recordings": str(places.media / "clap-monitor")}
    page = {"enabled": True, "host": "0.0.0.0", "port": INGRESS_PORT, "ingress": True}  # noqa: S104
    text = _INTRODUCTION.format(file=places.user_file) + layered(panel, user, {"web": page})
    try:
        load_text(text, places.effective)
    except ConfigError:
        if user:
            load(places.user_file)  # the same errors, with the lines that the user wrote
        raise
    _write(places.effective, text)
    _write_help(places)
    return passwords


def _names_a_broker(user: dict[str, object]) -> bool:
    mqtt = user.get("mqtt")
    return isinstance(mqtt, dict) and bool(mqtt.get("host"))


def _broker(file: Path, supervisor: str) -> Broker | None:
    """Return the broker that the Supervisor names, or named at an earlier start."""
    try:
        broker = ask_broker(os.environ.get("SUPERVISOR_TOKEN"), supervisor)
    except NoBrokerError as error:
        say(f"{error}; until then nothing is published")
        return None
    except SupervisorError as error:
        last = remembered(file)
        rest = "until the next start nothing is published"
        say(f"{error}; {rest if last is None else f'{last.host} is used, as before'}")
        return last
    try:
        remember(file, broker)
    except OSError as error:
        say(f"{file}: cannot be written: {error.strerror or error}")
    return broker


def _write(path: Path, text: str) -> None:
    try:
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") == text:
            return  # a full disk does not matter then
        write_atomic(path, text.encode(), durable=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; free some space") from error


def _write_help(places: Places) -> None:
    """Write what helps the user to write a file; without it, everything works as well."""
    from monitor.config import example

    try:
        if not places.user_file.exists():
            write_atomic(places.user_file, _STUB.encode(), mode=0o644)
        write_atomic(places.config / "all-keys.yaml", example().encode(), mode=0o644)
    except OSError as error:
        say(f"{places.config}: cannot be written: {error.strerror or error}; the app runs without it")
