"""Control: the labels and settings in force, how they change at run time, and which keys need a restart."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.config import Config, differences, with_threshold
from monitor.detection import label_changes
from monitor.detection.active_labels import ActiveLabels, Settings, changed_settings, fit_overrides
from monitor.detection.engine import Engine
from monitor.detection.examples import Examples, added, without_rival
from monitor.detection.examples_file import stored_examples
from monitor.detection.overrides import Overrides
from monitor.detection.prototypes import Prototypes, prompts_of
from monitor.detection.reload import Reload, first_lines, log_reload, reloadable
from monitor.detection.saved_changes import SavedChanges
from monitor.system.boundary import boundary
from monitor.types import ConfigError, ModelError, MonitorError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Settings that the analysis applies between two windows."""

    config: Config
    active_labels: ActiveLabels
    prototypes: Prototypes


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
        Reads the configuration again, raising ConfigError; None: there is no file.
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
        self._settings = settings
        self._engine = engine
        self._prototypes = engine.prototypes
        self._examples = engine.examples
        self._saved = SavedChanges(state, settings.overrides, engine.examples)
        self._state = state
        self._reread, self._check = reread, check
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
    def examples(self) -> Mapping[str, Examples]:
        """Examples for the checkpoint, by label, whether the label uses them or not."""
        return self._examples

    @property
    def saved(self) -> bool:
        """Whether the next run will know the newest change."""
        return self._saved.complete

    @property
    def overridden(self) -> bool:
        """Whether any setting differs from the configuration; thresholds of targets do not count."""
        return replace(self._settings.overrides, measured={}, undo={}) != Overrides()

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

    def change_settings(self, change: Callable[[Settings], Settings]) -> None:
        """Put other settings in force; ``change`` may raise ConfigError, and embedding prompts ModelError."""
        with self._lock:
            self._hand_over(change(self._settings), self._examples)

    def change_thresholds(self, change: Callable[[Settings], Overrides]) -> None:
        """Change thresholds as one of `monitor.detection.threshold_changes` says, raising ConfigError."""
        with self._lock:
            self._change(change(self._settings))

    def add_label(self, keys: Mapping[str, object]) -> None:
        """Add a label.

        Raises
        ------
        ConfigError
            As `put_label`; or there is a label of this ``id``.
        ModelError
            Its prompts cannot be embedded.
        """
        with self._lock:
            self._change(label_changes.add_label(self._settings, keys))

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
            self._change(label_changes.put_label(self._settings, keys))

    def remove_label(self, label: str) -> None:
        """Remove a label.

        Raises
        ------
        ConfigError
            There is no label of this identifier, or it is the last.
        """
        with self._lock:
            self._change(label_changes.remove_label(self._settings, label))

    def enable_label(self, label: str, *, enabled: bool) -> None:
        """Enable or disable a label.

        Raises
        ------
        ConfigError
            There is no label of this identifier, or no other one is enabled.
        """
        with self._lock:
            self._change(label_changes.enable_label(self._settings, label, enabled=enabled))

    def learn(
        self, examples: Examples, keys: Mapping[str, object] | None = None, *, replace_known: bool = False
    ) -> None:
        """Add examples and rivals to a label, for examples also to a new one; ``keys`` as for `put_label`.

        Parameters
        ----------
        examples : Examples
        keys : mapping of str to object, or None
        replace_known : bool
            Drop the examples that the label has had.

        Raises
        ------
        ConfigError
            As `put_label`; or the examples are of another checkpoint.
        ModelError
            Prompts cannot be embedded.
        """
        model = self._engine.model
        if (examples.identity, examples.rows.shape[1]) != (model.identity, model.dimension):
            raise ConfigError(
                f"the examples of {examples.label} were learned with another checkpoint, and say nothing to "
                f"{model.name}: learn them again from the recordings"
            )
        with self._lock:
            id_ = examples.label
            wanted = {**(keys or {}), **({"examples": True} if len(examples.rows) else {})}
            if not wanted:
                self.active_labels.find(id_)
            new_keys = {**wanted, "id": id_}
            overrides = (
                label_changes.put_label(self._settings, new_keys) if wanted else self._settings.overrides
            )
            before = self._examples.get(id_)
            every = added(before.only_rivals if replace_known and before is not None else before, examples)
            self._change(overrides, {**self._examples, id_: every})

    def take_back(self, label: str, origin: str) -> None:
        """Let what is from this origin no longer be a rival of a label, if it is one."""
        with self._lock:
            self._change(self._settings.overrides, without_rival(self._examples, label, origin))

    def forget(self, label: str) -> None:
        """Delete the examples and rivals of a label, which must have prompts.

        Raises
        ------
        ConfigError
            There is no such label, or it has no prompts.
        """
        with self._lock:
            known = self.active_labels.find(label)
            if not known.prompts:
                raise ConfigError(f"label {label} has no prompts: give it some first, or remove it")
            examples = {id_: each for id_, each in self._examples.items() if id_ != label}
            self._change(self._settings.overrides.put(label, {"examples": False}), examples)

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
                self.last_reload = Reload(time.time(), faults=first_lines(str(error).splitlines()))
                for line in self.last_reload.faults:
                    log.error("reload refused: %s", line)  # noqa: TRY400 - no traceback: the file is at fault
                raise
        log_reload(self.last_reload)
        return self.last_reload

    def _read_again(self) -> Config:
        if self._reread is None:
            raise ConfigError("this monitor was started without a configuration file: there is none to read")
        return self._reread()

    def _apply(self, wanted: Config) -> Reload:
        self._check(wanted)
        config, needs_restart = reloadable(self.config, wanted)
        changed = [line for lines in differences(self.config, config).values() for line in lines]
        overrides, active_labels, left_out = fit_overrides(config, self._settings.overrides)
        examples = self._examples
        if self._state is not None:
            model = self._engine.model
            examples = stored_examples(self._state, model.identity, model.dimension)
        self._hand_over(Settings(config, overrides, active_labels), examples)
        return Reload(time.time(), tuple(changed), needs_restart, tuple(left_out))

    def _change(self, overrides: Overrides, examples: Mapping[str, Examples] | None = None) -> None:
        settings = changed_settings(self._settings, overrides)
        self._hand_over(settings, self._examples if examples is None else examples)

    def _hand_over(self, settings: Settings, examples: Mapping[str, Examples]) -> None:
        """Put settings in force; only embedding new prompts can still fail, and comes first."""
        labels, prototypes = settings.active_labels, self._prototypes
        if prompts_of(labels, examples) != prompts_of(self.active_labels, self._examples):
            with boundary(ModelError, "the prompts cannot be embedded"):
                prototypes = self._engine.build_prototypes(labels.labels, labels.background, examples)
        self._saved.save(settings.overrides, examples)
        self._settings, self._prototypes, self._examples = settings, prototypes, examples
        self._changes.append(Change(settings.config, labels, prototypes))
