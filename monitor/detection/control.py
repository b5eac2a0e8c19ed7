"""The one place that knows what is listened for now, and the only one that changes it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.config import Config, LabelConfig, changed_label, differences, with_threshold
from monitor.detection.active_labels import ActiveLabels, active_labels_of, fitting
from monitor.detection.overrides import FILE, Overrides, read_overrides, write_overrides
from monitor.detection.prototypes import Prototypes
from monitor.system.boundary import boundary
from monitor.types import ConfigError, ModelError, MonitorError

log = logging.getLogger(__name__)

SWAPPED = ("labels", "background", "silence_dbfs", "clips", "mqtt", "log_level")
"""Keys that take effect while the monitor runs; every other one needs a restart."""

KEPT_OF_CLIPS = ("enabled", "format", "speech_filter")
"""But these of the clips: one that has been begun is also ended by them."""

MOST_FAULTS = 20
"""Lines about a file that was refused; `clap-monitor check` shows more."""

Watch = Callable[[Sequence[LabelConfig], Sequence[str]], Prototypes]
"""Labels and background to a watchlist: `Hearing.watch`."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What the analysis takes over between two windows."""

    config: Config
    active_labels: ActiveLabels
    prototypes: Prototypes


@dataclass(frozen=True, slots=True)
class Reload:
    """What became of the last request to read the configuration again."""

    at: float
    """Unix seconds."""
    changed: tuple[str, ...] = ()
    """What took effect, one line each."""
    needs_restart: tuple[str, ...] = ()
    """What did not, for it cannot while the monitor runs."""
    left_out: tuple[str, ...] = ()
    """Changes made at run time that do not fit the new file, and are forgotten."""
    faults: tuple[str, ...] = ()
    """Why the file was refused; the old configuration holds."""


class Control:
    """Change what is listened for, from any thread; each change is checked, then kept, then handed over.

    A change that is refused raises and changes nothing.  New sentences are embedded in the thread that
    asks, so a change may take seconds, in which the analysis goes on; the next one waits for its end.

    Parameters
    ----------
    config : Config
        As it was started with.
    state : Path or None
        Directory in which changes are kept for the next run; None keeps none and knows of none.
    reread : callable or None
        Reads the configuration again, raising ConfigError; None if there is no file.
    check : callable
        Takes a configuration and raises what speaks against running with it.
    """

    def __init__(
        self,
        config: Config,
        *,
        state: Path | None = None,
        reread: Callable[[], Config] | None = None,
        check: Callable[[Config], None] = lambda _: None,
    ) -> None:
        self.reloaded: Reload | None = None
        """The last one."""
        self.kept = True
        """Whether the newest change will be known to the next run."""
        self._lock = threading.Lock()
        self._path = None if state is None else state / FILE
        self._reread = reread
        self._check = check
        self._config = config
        overrides = Overrides() if self._path is None else read_overrides(self._path)
        self._overrides, self._active_labels, left_out = fitting(config, overrides)
        for line in left_out:
            log.warning("%s: %s; left out", self._path, line)
        if not self._active_labels.armed:
            log.warning("listening is switched off: nothing is scored until it is switched on")
        self._changes: deque[Change] = deque(maxlen=1)

    def begin(self, watch: Watch, prototypes: Prototypes) -> None:
        """Take over what embeds sentences, and what it made of `active_labels` as it is."""
        self._watch, self._prototypes = watch, prototypes

    @property
    def config(self) -> Config:
        """What holds now of the file."""
        return self._config

    @property
    def active_labels(self) -> ActiveLabels:
        """What is listened for, or will be from the next window on."""
        return self._active_labels

    @property
    def overridden(self) -> bool:
        """Whether anything differs from the file."""
        return self._overrides != Overrides()

    def take(self) -> Change | None:
        """Return the newest change if it has not been taken; for the analysis, never waits."""
        try:
            return self._changes.popleft()
        except IndexError:
            return None

    def arm(self, *, armed: bool) -> None:
        """Switch listening on or off."""
        with self._lock:
            self._change(replace(self._overrides, armed=armed))

    def set_threshold(self, label: str, threshold: object, source: str | None = None) -> None:
        """Set the threshold of a label at one source, or at all.

        Raises
        ------
        ConfigError
            There is no such label or source, or it is no number in [0, 1].
        """
        with self._lock:
            if source is not None:
                moved = with_threshold(self._active_labels.label(source, label), threshold)
                self._change(self._overrides.set_threshold(source, label, moved.threshold))
                return
            before = self._active_labels.everywhere(label)
            moved = with_threshold(before, threshold)
            keys: dict[str, object] = {"threshold": moved.threshold}
            if moved.release_threshold != before.release_threshold:
                keys["release_threshold"] = moved.release_threshold
            self._change(self._overrides.put(label, keys))

    def put_label(self, keys: Mapping[str, object]) -> None:
        """Add a label, or change keys of the one of the same ``id``; None stands for the default of a key.

        Raises
        ------
        ConfigError
            As for a label in the file.
        ModelError
            Its sentences cannot be embedded.
        """
        with self._lock:
            id_ = keys.get("id")
            known = next((label for label in self._active_labels.labels if label.id == id_), None)
            label = changed_label(known, keys)
            self._change(self._overrides.put(label.id, {k: v for k, v in keys.items() if k != "id"}))

    def remove_label(self, label: str) -> None:
        """Listen no more for a label.

        Raises
        ------
        ConfigError
            There is none of this identifier, or it is the last.
        """
        with self._lock:
            self._active_labels.everywhere(label)
            self._change(self._overrides.remove(label))

    def enable_label(self, label: str, *, enabled: bool) -> None:
        """Listen for a label, or let it be for a while.

        Raises
        ------
        ConfigError
            There is none of this identifier, or no other one is enabled.
        """
        with self._lock:
            self._active_labels.everywhere(label)
            self._change(self._overrides.put(label, {"enabled": enabled}))

    def reset(self) -> None:
        """Forget everything that was changed at run time."""
        with self._lock:
            self._change(Overrides())

    def reload(self) -> Reload:
        """Read the configuration again and take over what can be; the old one holds if it is refused.

        Raises
        ------
        MonitorError
            It is refused; one line for each fault.
        """
        with self._lock:
            try:
                with boundary(ConfigError, "reload"):
                    self.reloaded = self._take_over(self._read_again())
            except MonitorError as error:
                self.reloaded = Reload(time.time(), faults=_first(str(error).splitlines()))
                for line in self.reloaded.faults:
                    log.error("reload refused: %s", line)  # noqa: TRY400 - no traceback: the file is at fault
                raise
        _log_reload(self.reloaded)
        return self.reloaded

    def _read_again(self) -> Config:
        if self._reread is None:
            raise ConfigError("this monitor was started without a configuration file: there is none to read")
        return self._reread()

    def _take_over(self, wanted: Config) -> Reload:
        self._check(wanted)
        config, needs_restart = _swappable(self._config, wanted)
        changed = [line for lines in differences(self._config, config).values() for line in lines]
        overrides, active_labels, left_out = fitting(config, self._overrides)
        self._hand_over(config, overrides, active_labels)
        return Reload(time.time(), tuple(changed), needs_restart, tuple(left_out))

    def _change(self, overrides: Overrides) -> None:
        overrides = overrides.without_gone({label.id for label in self._config.labels})
        active_labels, unfit = active_labels_of(self._config, overrides)
        if unfit:
            raise ConfigError(unfit[0])
        self._hand_over(self._config, overrides, active_labels)

    def _hand_over(self, config: Config, overrides: Overrides, active_labels: ActiveLabels) -> None:
        """Make it so; only embedding new sentences can still fail, and comes first."""
        prototypes = self._prototypes
        if _sentences(active_labels) != _sentences(self._active_labels):
            with boundary(ModelError, "the sentences cannot be embedded"):
                prototypes = self._watch(active_labels.labels, active_labels.background)
        self._keep(overrides)
        self._config, self._overrides = config, overrides
        self._active_labels, self._prototypes = active_labels, prototypes
        self._changes.append(Change(config, active_labels, prototypes))

    def _keep(self, overrides: Overrides) -> None:
        if self._path is None or (overrides == self._overrides and self.kept):
            return
        try:
            write_overrides(self._path, overrides)
            self.kept = True
        except OSError as error:
            if self.kept:
                said = "%s: cannot be written (%s): changes last until the end of this run"
                log.warning(said, self._path, error.strerror)
            self.kept = False


def _swappable(now: Config, wanted: Config) -> tuple[Config, tuple[str, ...]]:
    """Return as much of the wanted configuration as can be had now, and what is left."""
    update = {key: getattr(wanted, key) for key in SWAPPED}
    if (now.mqtt.host is None) != (wanted.mqtt.host is None):
        update["mqtt"] = now.mqtt
    kept = {key: getattr(now.clips, key) for key in KEPT_OF_CLIPS}
    update["clips"] = wanted.clips.model_copy(update=kept)
    config = now.model_copy(update=update)
    lines = [line for lines in differences(config, wanted).values() for line in lines]
    return config, tuple(lines)


def _sentences(active_labels: ActiveLabels) -> list[object]:
    """All that a watchlist depends on."""
    labels = [(label.id, label.prompts, label.against) for label in active_labels.enabled]
    return [labels, active_labels.background]


def _first(lines: list[str]) -> tuple[str, ...]:
    """Return so many lines as a status and a log can show."""
    more = len(lines) - MOST_FAULTS
    return (*lines[:MOST_FAULTS], f"and {more} faults more") if more > 0 else tuple(lines)


def _log_reload(done: Reload) -> None:
    log.info("reloaded: %s", "; ".join(done.changed) or "nothing has changed")
    for line in done.needs_restart:
        log.warning("reloaded: %s: needs a restart", line)
    for line in done.left_out:
        log.warning("reloaded: changed at run time: %s; left out", line)
