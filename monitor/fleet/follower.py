"""Follower: puts the watchlist of a fleet in force at one node, and reports whether that worked."""

from __future__ import annotations

import logging
from pathlib import Path

from monitor.config import Config, FleetConfig
from monitor.detection.active_labels import Settings, fit_overrides
from monitor.detection.control import Control
from monitor.fleet.signature import read_verifier
from monitor.fleet.watchlist import MAX_BYTES, Watchlist, over, parse_watchlist, version_in
from monitor.system.atomic_file import write_atomic
from monitor.system.bounded_read import DamagedError, read_text
from monitor.system.directories import make_directory
from monitor.types import ConfigError, MonitorError

log = logging.getLogger(__name__)

FILE = "watchlist.json"
"""File in the state directory with the newest accepted watchlist."""

MOST_LEFT_OUT = 20
"""Changes made at the node that are named if they do not fit."""


class Follower:
    """The watchlist in force; the newest accepted one is kept for a start without the broker.

    A watchlist that is refused changes nothing.  One of a lower version than the accepted one is refused, so
    that nobody can bring back an old one.

    Parameters
    ----------
    fleet : FleetConfig
    state : Path or None
        The state directory; None: nothing is kept.

    Raises
    ------
    ConfigError
        The public key cannot be used.
    """

    def __init__(self, fleet: FleetConfig, state: Path | None) -> None:
        self._follow = fleet.follow
        self._verify = None if fleet.public_key_file is None else read_verifier(fleet.public_key_file)
        self._file = None if state is None else state / FILE
        self._kept = True
        self._refused: tuple[int | None, str] | None = None
        self._left_out: tuple[str, ...] = ()
        self._accepted = self._read() if fleet.follow else None
        self._in_force = None if self._accepted is None else self._accepted.version

    def over(self, config: Config) -> Config:
        """Return a configuration with the labels of the accepted watchlist, if there is one and it fits."""
        if self._accepted is None:
            return config
        try:
            return over(config, self._accepted.labels)
        except ConfigError as error:
            log.warning("fleet: %s; using the labels of the configuration", error)
            self._refused = (self._accepted.version, str(error))
            self._in_force = None
            return config

    def receive(self, text: str, control: Control) -> None:
        """Put a watchlist in force; one that is in force already changes nothing, and neither does a removal.

        Raises
        ------
        MonitorError
            It is refused.
        """
        if not text:
            return
        try:
            watchlist = parse_watchlist(text, self._verify)
            self._check_version(watchlist)
            if self._accepted is None or watchlist.version > self._accepted.version:
                self._put_in_force(watchlist, control)
        except MonitorError as error:
            self._refused = (version_in(text), str(error))
            raise
        self._refused = None

    def document(self) -> dict[str, object] | None:
        """Return what became of the newest watchlist, ready for JSON; None if none is followed."""
        if not self._follow:
            return None
        version, reason = self._refused or (None, None)
        return {
            "version": self._in_force,
            "refused_version": version,
            "reason": reason,
            "left_out": list(self._left_out),
            "kept": self._kept,
        }

    def _check_version(self, watchlist: Watchlist) -> None:
        known = self._accepted
        if known is None or watchlist.version > known.version or watchlist.text == known.text:
            return
        if watchlist.version == known.version:
            raise ConfigError(f"version {known.version} is in force, and was another watchlist")
        raise ConfigError(f"version {watchlist.version} is older than {known.version}, which is in force")

    def _put_in_force(self, watchlist: Watchlist, control: Control) -> None:
        def change(settings: Settings) -> Settings:
            config = over(settings.config, watchlist.labels)
            overrides, active_labels, left_out = fit_overrides(config, settings.overrides)
            self._left_out = tuple(left_out[:MOST_LEFT_OUT])
            return Settings(config, overrides, active_labels)

        before, self._accepted = self._accepted, watchlist  # a reload from now on reads the new one
        try:
            control.change_settings(change)
        except MonitorError:
            self._accepted = before
            raise
        self._in_force = watchlist.version
        log.info("fleet: watchlist %d is in force: %d labels", watchlist.version, len(watchlist.labels))
        for line in self._left_out:
            log.warning("fleet: changed at run time: %s; left out", line)
        self._keep(watchlist)

    def _keep(self, watchlist: Watchlist) -> None:
        if self._file is None:
            return
        try:
            make_directory(self._file.parent)
            write_atomic(self._file, watchlist.text.encode(), durable=True)
        except OSError as error:
            log.warning(
                "%s: cannot be written (%s): the watchlist is lost at the next start",
                self._file,
                error.strerror,
            )
            self._kept = False
        else:
            self._kept = True

    def _read(self) -> Watchlist | None:
        if self._file is None:
            return None
        try:
            return parse_watchlist(read_text(self._file, MAX_BYTES), self._verify)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("%s: cannot be read (%s): waiting for the broker", self._file, error.strerror)
        except (DamagedError, ConfigError) as error:
            log.warning("%s: %s: waiting for the broker", self._file, error)
        return None
