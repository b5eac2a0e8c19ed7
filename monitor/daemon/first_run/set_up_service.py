"""Set-up service: what the page chooses from, trials, and the configuration that is written."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monitor.config import (
    PACKS,
    BrokerChoice,
    CameraChoice,
    Choices,
    Draft,
    WebConfig,
    pack_labels,
    read_draft,
)
from monitor.config.labels import LabelConfig
from monitor.daemon.checks.finding import Finding
from monitor.daemon.first_run.meters import Meters
from monitor.daemon.first_run.plan import TOKEN_FILE, plan
from monitor.daemon.first_run.trials import brokers_nearby, try_broker, try_camera
from monitor.daemon.first_run.writing import ChangedError, backup_of, write
from monitor.types import MonitorError, SourceError

log = logging.getLogger(__name__)


class SetUp:
    """Set-up of one configuration file; each method may be called from any thread.

    ``web`` is the page that is served; ``on_written`` is called once, when the file has been written.
    """

    def __init__(
        self, path: Path, web: WebConfig, on_written: Callable[[], None], meters: Meters | None = None
    ) -> None:
        self._path = path.absolute()
        self._web = web
        self._on_written = on_written
        self._lock = threading.Lock()
        self._is_over = False
        self.meters = Meters() if meters is None else meters

    def overview(self) -> dict[str, Any]:
        """Return what set-up begins with: the file, its choices, the packs, the time of day."""
        draft = self._draft()
        config, mqtt = draft.config, draft.config.mqtt
        known = {"host": mqtt.host, "port": mqtt.port, "tls": mqtt.tls, "username": mqtt.username}
        return {
            "path": str(draft.path),
            "revision": draft.revision,
            "hand_written": not draft.is_ours,
            "node": config.node,
            "include": list(config.include),
            "broker": None if mqtt.host is None else known,
            "packs": [{"name": name, "hears": _hears(name)} for name in PACKS],
            "time": time.strftime("%H:%M"),
            "time_zone": _time_zone(),
        }

    def levels(self) -> list[dict[str, Any]]:
        """Return the level of every microphone.

        Raises
        ------
        SourceError
            There is none.
        """
        try:
            return [asdict(reading) for reading in self.meters.read()]
        except SourceError as error:
            log.warning("set-up: microphones: %s", error)
            raise

    def try_camera(self, camera: CameraChoice) -> list[dict[str, Any]]:
        """Connect to a camera, and listen to it."""
        silence = self._draft().config.silence_dbfs
        return _reported("camera", try_camera(camera, silence_dbfs=silence))

    def brokers(self) -> list[str]:
        """Return the names of brokers nearby."""
        return brokers_nearby()

    def try_broker(self, broker: BrokerChoice, node: str) -> list[dict[str, Any]]:
        """Check each step to a broker."""
        return _reported("broker", try_broker(broker, node, self._draft()))

    def preview(self, choices: Choices) -> dict[str, Any]:
        """Return what would be written, and where."""
        wanted = plan(self._draft(), choices, self._web)
        backup = backup_of(wanted)
        return {
            "path": str(wanted.draft.path),
            "text": wanted.text.partition("\n")[2] if not wanted.draft.is_ours else wanted.text,
            "backup": None if backup is None else str(backup),
            "secrets": [str(path) for path in wanted.secrets],
            "hand_written": not wanted.draft.is_ours,
            "revision": wanted.draft.revision,
        }

    def apply(self, choices: Choices, revision: str) -> str | None:
        """Write everything; return the new token of the page, None if there was one.

        Raises
        ------
        MonitorError
            It cannot be written, and nothing has changed.
        """
        with self._lock:
            try:
                return self._apply(choices, revision)
            except MonitorError as error:
                log.warning("set-up: %s", error)
                raise

    def _apply(self, choices: Choices, revision: str) -> str | None:
        draft = self._draft()
        if self._is_over or draft.revision != revision:
            raise ChangedError(f"{draft.path}: was set up in another tab: load the page again")
        wanted = plan(draft, choices, self._web)
        write(wanted)
        self._is_over = True
        self._on_written()
        return next((text for path, text in wanted.secrets.items() if path.name.startswith(TOKEN_FILE)), None)

    def _draft(self) -> Draft:
        return read_draft(self._path)


def _reported(what: str, findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings for the page; those that failed are logged, too."""
    found = list(findings)
    for each in found:
        if each.exit_code:
            log.warning("set-up: %s: %s: %s", what, each.check, each.text)
    return [
        {"check": each.check, "state": each.state.lower(), "text": each.text, "fix": each.fix or None}
        for each in found
    ]


def _hears(pack: str) -> list[str]:
    return [LabelConfig.model_validate(dict(label)).title for label in pack_labels(pack)]


def _time_zone() -> str:
    """Return the name of the time zone, as far as the system says, and the difference from UTC."""
    name = os.environ.get("TZ", "").lstrip(":")
    if not name:
        place = str(Path("/etc/localtime").resolve())
        name = place.partition("/zoneinfo/")[2] or time.tzname[0]
    return f"{name} (UTC{time.strftime('%z')})"
