"""Active labels: labels, thresholds and settings in force; a change makes a new value."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from monitor.config import UNUSUAL, Config, LabelConfig, UnusualLabel, changed_label, with_threshold
from monitor.detection.overrides import FILE, MOST_LABELS, Overrides, read_overrides
from monitor.system.boundary import printable
from monitor.types import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ActiveLabels:
    """The configured labels with every change made at run time."""

    labels: tuple[LabelConfig, ...]
    """All labels, those that are not enabled included."""
    sources: tuple[str, ...]
    """Names of the sources."""
    background: tuple[str, ...] = ()
    silence_dbfs: float = -70.0
    armed: bool = True
    """False: audio is captured, but no window is scored."""
    selected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Identifiers of the labels of a source that detects only some, by source."""
    own: Mapping[tuple[str, str], LabelConfig] = field(default_factory=dict)
    """Labels with a threshold of their own at a source, by source and identifier."""
    unusual: tuple[str, ...] = ()
    """Names of the sources whose unusual sounds are reported."""

    @property
    def enabled(self) -> tuple[LabelConfig, ...]:
        """Labels that are enabled."""
        return tuple(label for label in self.labels if label.enabled)

    def label(self, source: str, label: str) -> LabelConfig:
        """Return a label with the threshold that holds at a source.

        Raises
        ------
        ConfigError
            There is no such label or source, or the source does not detect it.
        """
        if source not in self.sources:
            raise ConfigError(
                f"there is no source {source[:32]!r}; the sources are {', '.join(self.sources)}"
            )
        found = self.find(label)
        if not self.detects(source, label):
            raise ConfigError(f"source {source} does not detect {label}")
        return self.own.get((source, label), found)

    def find(self, label: str) -> LabelConfig:
        """Return a label as it is at sources without a threshold of their own.

        Raises
        ------
        ConfigError
            There is no label of this identifier.
        """
        found = next((each for each in self.labels if each.id == label), None)
        if found is None:
            raise ConfigError(f"there is no label {label[:32]!r}")
        return found

    def at(self, source: str) -> tuple[LabelConfig, ...]:
        """Enabled labels that a source detects, each with the threshold that holds there."""
        return tuple(self.label(source, label.id) for label in self.enabled if self.detects(source, label.id))

    def detects(self, source: str, label: str) -> bool:
        """Return whether a source detects a label, if it is enabled."""
        return label in self.selected.get(source, (label,))

    def thresholds(self, label: str) -> dict[str, float]:
        """Return the threshold of a label at each source that detects it, if it is enabled."""
        sources = (source for source in self.sources if self.detects(source, label))
        return {source: self.label(source, label).threshold for source in sources}

    def with_only(self, label: LabelConfig, *, own_thresholds: bool) -> ActiveLabels:
        """Return the labels if this were the only one, and detection were on.

        Parameters
        ----------
        label : LabelConfig
            A new one, or one of these with other keys.
        own_thresholds : bool
            Whether the thresholds hold that it has at single sources.
        """
        own = {
            at: with_threshold(label, known.threshold)
            for at, known in self.own.items()
            if at[1] == label.id and own_thresholds
        }
        return replace(self, labels=(label,), own=own, armed=True, unusual=())

    @property
    def by_source(self) -> dict[str, tuple[LabelConfig, ...]]:
        """Labels by source of which there may be events: those enabled, and that of unusual sounds."""
        unusual = dict.fromkeys(self.unusual, (UnusualLabel(),))
        return {source: (*self.at(source), *unusual.get(source, ())) for source in self.sources}

    @property
    def ids_by_source(self) -> dict[str, tuple[str, ...]]:
        """Identifiers of the labels of `by_source`."""
        return {source: tuple(label.id for label in labels) for source, labels in self.by_source.items()}


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration, what differs from it, and the labels that follow from both."""

    config: Config
    overrides: Overrides
    active_labels: ActiveLabels


def restore_settings(config: Config, state: Path | None) -> Settings:
    """Return the settings at the start: the configuration with the changes of earlier runs that still fit.

    Parameters
    ----------
    config : Config
    state : Path or None
        The state directory; None ignores earlier changes.
    """
    path = None if state is None else state / FILE
    overrides = Overrides() if path is None else read_overrides(path)
    overrides, active_labels, left_out = fit_overrides(config, overrides)
    for line in left_out:
        log.warning("%s: %s; left out", path, line)
    if not active_labels.armed:
        log.warning("detection is disarmed: no window is scored until it is armed again")
    return Settings(config, overrides, active_labels)


def apply_overrides(config: Config, overrides: Overrides) -> tuple[ActiveLabels, list[str]]:
    """Return a configuration with the changes made at run time, and a line for each that does not fit it."""
    labels = {label.id: label for label in config.labels}
    unfit: list[str] = []
    for id_, keys in overrides.labels.items():
        if keys is None:
            labels.pop(id_, None)
            continue
        if config.fleet.follow and id_ not in labels and not {"prompts", "examples"} & keys.keys():
            continue  # changes a label that is in another watchlist, and holds again with that one
        try:
            labels[id_] = changed_label(labels.get(id_), {**keys, "id": id_})
        except ConfigError as error:
            unfit.append(f"label {printable(id_)[:32]}: {error}")
    if len(labels) > MOST_LABELS:
        unfit.append(f"labels: there would be {len(labels)}; {MOST_LABELS} are possible")
    if not any(label.enabled for label in labels.values()):
        unfit.append("labels: none would be enabled; to detect nothing, disarm the monitor")
    if config.unusual.enabled and UNUSUAL in labels:
        unfit.append(f"label {UNUSUAL}: unusual sounds are reported under this id; choose another one")
    names = tuple(source.name for source in config.sources)
    own = {
        (source, id_): with_threshold(labels[id_], threshold)
        for source in names
        for id_, threshold in _thresholds_at(source, labels, overrides).items()
    }
    active_labels = ActiveLabels(
        labels=tuple(labels.values()),
        sources=names,
        background=config.background,
        silence_dbfs=config.silence_dbfs,
        armed=overrides.armed,
        selected={source.name: source.labels for source in config.sources if source.labels is not None},
        own=own,
        unusual=_unusual(config, names),
    )
    return active_labels, unfit


def _unusual(config: Config, names: tuple[str, ...]) -> tuple[str, ...]:
    wanted = config.unusual
    return tuple(name for name in names if wanted.enabled and name in (wanted.sources or names))


def _thresholds_at(source: str, labels: Mapping[str, LabelConfig], overrides: Overrides) -> dict[str, float]:
    """Return the thresholds of a source: those of targets, and before them those that somebody set."""
    measured = {
        id_: threshold
        for id_, threshold in overrides.measured.get(source, {}).items()
        if id_ in labels and labels[id_].target is not None
    }
    by_hand = overrides.thresholds.get(source, {})
    return measured | {id_: threshold for id_, threshold in by_hand.items() if id_ in labels}


def changed_settings(settings: Settings, overrides: Overrides) -> Settings:
    """Return settings with other overrides.

    Raises
    ------
    ConfigError
        One of them does not fit, such as when no label would be enabled.
    """
    overrides = _without_gone(settings.config, overrides)
    active_labels, unfit = apply_overrides(settings.config, overrides)
    if unfit:
        raise ConfigError(unfit[0])
    return Settings(settings.config, overrides, active_labels)


def fit_overrides(config: Config, overrides: Overrides) -> tuple[Overrides, ActiveLabels, list[str]]:
    """Return the overrides that fit, the labels that follow, and a line for each change that does not fit."""
    overrides = _without_gone(config, overrides)
    active_labels, unfit = apply_overrides(config, overrides)
    if not unfit:
        return overrides, active_labels, []
    labels: dict[str, Mapping[str, object] | None] = {}
    for id_, keys in overrides.labels.items():
        if not apply_overrides(config, Overrides(labels={**labels, id_: keys}))[1]:
            labels[id_] = keys
    overrides = replace(overrides, labels=labels)
    return overrides, apply_overrides(config, overrides)[0], unfit


def _without_gone(config: Config, overrides: Overrides) -> Overrides:
    """Drop removals of labels that the configuration has not; but the next watchlist may have them again."""
    return overrides if config.fleet.follow else overrides.without_gone({each.id for each in config.labels})
