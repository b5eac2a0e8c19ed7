"""Control: the labels and settings in force, how they change at run time, and which keys need a restart."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.config import Config, changed_label, differences, with_threshold
from monitor.detection.active_labels import ActiveLabels, Settings, apply_overrides, fit_overrides
from monitor.detection.engine import Engine
from monitor.detection.overrides import FILE, Overrides, write_overrides
from monitor.detection.prototypes import Prototypes
from monitor.system.boundary import boundary
from monitor.types import ConfigError, ModelError, MonitorError

log = logging.getLogger(__name__)

RELOADABLE = ("labels", "background", "silence_dbfs", "clips", "mqtt", "log_level")
"""Keys of the configuration that take effect while the monitor runs; the others need a restart."""

FIXED_CLIP_KEYS = ("enabled", "format", "speech_filter")
"""Keys of ``clips`` that need a restart: they hold from the start of a clip to its end."""

MOST_FAULTS = 20
"""Lines about a file that is refused; `clap-monitor check` shows all."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Settings that the analysis applies between two windows."""

    config: Config
    active_labels: ActiveLabels
    prototypes: Prototypes


@dataclass(frozen=True, slots=True)
class Reload:
    """Result of reading the configuration again."""

    at: float
    """Unix seconds."""
    changed: tuple[str, ...] = ()
    """Keys that took effect, one line each."""
    needs_restart: tuple[str, ...] = ()
    """Keys that take effect at the next start."""
    left_out: tuple[str, ...] = ()
    """Changes made at run time that do not fit the new file and are dropped."""
    faults: tuple[str, ...] = ()
    """Why the file was refused; the old configuration stays in force."""


class Control:
    """Changes the settings in force, from any thread; each change is checked, then saved, then handed over.

    A change that is refused raises and changes nothing.  New prompts are embedded in the calling thread, so a
    change may take seconds, in which the analysis goes on; the next change waits for it.

    Parameters
    ----------
    settings : Settings
        From `restore_settings`.
    engine : Engine
        Loaded with these settings; embeds new prompts.
    state : Path or None
        Directory in which changes are saved for the next run; None does not save them.
    reread : callable or None
        Reads the configuration again, raising ConfigError; None if there is no file.
    check : callable
        Takes a configuration and raises MonitorError if the monitor cannot run with it.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        *,
        state: Path | None = None,
        reread: Callable[[], Config] | None = None,
        check: Callable[[Config], None] = lambda _: None,
    ) -> None:
        self.last_reload: Reload | None = None
        self.saved = True
        """Whether the next run will know the newest change."""
        self._settings = settings
        self._engine = engine
        self._prototypes = engine.prototypes
        self._path = None if state is None else state / FILE
        self._reread = reread
        self._check = check
        self._lock = threading.Lock()
        self._changes: deque[Change] = deque(maxlen=1)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._settings.config

    @property
    def active_labels(self) -> ActiveLabels:
        """Labels and settings in force from the next window on."""
        return self._settings.active_labels

    @property
    def overridden(self) -> bool:
        """Whether any setting differs from the configuration."""
        return self._settings.overrides != Overrides()

    def take_change(self) -> Change | None:
        """Return the newest change that was not yet taken; for the analysis, never waits."""
        try:
            return self._changes.popleft()
        except IndexError:
            return None

    def arm(self, *, armed: bool) -> None:
        """Switch detection on or off."""
        with self._lock:
            self._change(replace(self._settings.overrides, armed=armed))

    def set_threshold(self, label: str, threshold: object, source: str | None = None) -> None:
        """Set the threshold of a label at one source, or at all.

        Raises
        ------
        ConfigError
            There is no such label or source, or it is no number in [0, 1].
        """
        with self._lock:
            if source is not None:
                moved = with_threshold(self.active_labels.label(source, label), threshold)
                self._change(self._settings.overrides.set_threshold(source, label, moved.threshold))
                return
            before = self.active_labels.find(label)
            moved = with_threshold(before, threshold)
            keys: dict[str, object] = {"threshold": moved.threshold}
            if moved.release_threshold != before.release_threshold:
                keys["release_threshold"] = moved.release_threshold
            self._change(self._settings.overrides.put(label, keys))

    def put_label(self, keys: Mapping[str, object]) -> None:
        """Add a label, or change keys of the one of the same ``id``; None stands for the default of a key.

        Raises
        ------
        ConfigError
            As for a label in the file.
        ModelError
            Its prompts cannot be embedded.
        """
        with self._lock:
            id_ = keys.get("id")
            known = next((label for label in self.active_labels.labels if label.id == id_), None)
            label = changed_label(known, keys)
            self._change(self._settings.overrides.put(label.id, {k: v for k, v in keys.items() if k != "id"}))

    def remove_label(self, label: str) -> None:
        """Remove a label.

        Raises
        ------
        ConfigError
            There is no label of this identifier, or it is the last.
        """
        with self._lock:
            self.active_labels.find(label)
            self._change(self._settings.overrides.remove(label))

    def enable_label(self, label: str, *, enabled: bool) -> None:
        """Enable or disable a label.

        Raises
        ------
        ConfigError
            There is no label of this identifier, or no other one is enabled.
        """
        with self._lock:
            self.active_labels.find(label)
            self._change(self._settings.overrides.put(label, {"enabled": enabled}))

    def reload(self) -> Reload:
        """Read the configuration again and apply it, except for keys that need a restart.

        Raises
        ------
        MonitorError
            It is refused, and nothing changes; one line for each fault.
        """
        with self._lock:
            try:
                with boundary(ConfigError, "reload"):
                    self.last_reload = self._apply(self._read_again())
            except MonitorError as error:
                self.last_reload = Reload(time.time(), faults=_first(str(error).splitlines()))
                for line in self.last_reload.faults:
                    log.error("reload refused: %s", line)  # noqa: TRY400 - no traceback: the file is at fault
                raise
        _log_reload(self.last_reload)
        return self.last_reload

    def _read_again(self) -> Config:
        if self._reread is None:
            raise ConfigError("this monitor was started without a configuration file: there is none to read")
        return self._reread()

    def _apply(self, wanted: Config) -> Reload:
        self._check(wanted)
        config, needs_restart = _reloadable(self.config, wanted)
        changed = [line for lines in differences(self.config, config).values() for line in lines]
        overrides, active_labels, left_out = fit_overrides(config, self._settings.overrides)
        self._hand_over(Settings(config, overrides, active_labels))
        return Reload(time.time(), tuple(changed), needs_restart, tuple(left_out))

    def _change(self, overrides: Overrides) -> None:
        overrides = overrides.without_gone({label.id for label in self.config.labels})
        active_labels, unfit = apply_overrides(self.config, overrides)
        if unfit:
            raise ConfigError(unfit[0])
        self._hand_over(Settings(self.config, overrides, active_labels))

    def _hand_over(self, settings: Settings) -> None:
        """Put settings in force; only embedding new prompts can still fail, and comes first."""
        labels, prototypes = settings.active_labels, self._prototypes
        if _prompts(labels) != _prompts(self.active_labels):
            with boundary(ModelError, "the prompts cannot be embedded"):
                prototypes = self._engine.build_prototypes(labels.labels, labels.background)
        self._save(settings.overrides)
        self._settings, self._prototypes = settings, prototypes
        self._changes.append(Change(settings.config, labels, prototypes))

    def _save(self, overrides: Overrides) -> None:
        if self._path is None or (overrides == self._settings.overrides and self.saved):
            return
        try:
            write_overrides(self._path, overrides)
            self.saved = True
        except OSError as error:
            if self.saved:
                text = "%s: cannot be written (%s): changes last until the end of this run"
                log.warning(text, self._path, error.strerror)
            self.saved = False


def _reloadable(now: Config, wanted: Config) -> tuple[Config, tuple[str, ...]]:
    """Return the wanted configuration as far as it can be applied now, and the lines that need a restart."""
    update = {key: getattr(wanted, key) for key in RELOADABLE}
    if (now.mqtt.host is None) != (wanted.mqtt.host is None):
        update["mqtt"] = now.mqtt
    kept = {key: getattr(now.clips, key) for key in FIXED_CLIP_KEYS}
    update["clips"] = wanted.clips.model_copy(update=kept)
    config = now.model_copy(update=update)
    lines = [line for lines in differences(config, wanted).values() for line in lines]
    return config, tuple(lines)


def _prompts(active_labels: ActiveLabels) -> list[object]:
    """Everything that prototypes depend on."""
    labels = [(label.id, label.prompts, label.against) for label in active_labels.enabled]
    return [labels, active_labels.background]


def _first(lines: list[str]) -> tuple[str, ...]:
    """Return as many lines as fit into a status and a log."""
    more = len(lines) - MOST_FAULTS
    return (*lines[:MOST_FAULTS], f"and {more} more faults") if more > 0 else tuple(lines)


def _log_reload(done: Reload) -> None:
    log.info("reloaded: %s", "; ".join(done.changed) or "nothing has changed")
    for line in done.needs_restart:
        log.warning("reloaded: %s: needs a restart", line)
    for line in done.left_out:
        log.warning("reloaded: changed at run time: %s; left out", line)
