"""What is listened for at one moment: a value; a change makes a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from monitor.config import Config, LabelConfig, changed_label, with_threshold
from monitor.detection.overrides import MOST_LABELS, Overrides
from monitor.system.boundary import printable
from monitor.types import ConfigError


@dataclass(frozen=True, slots=True)
class ActiveLabels:
    """The configuration with everything that was changed at run time."""

    labels: tuple[LabelConfig, ...]
    """All there are, also those that are not enabled."""
    sources: tuple[str, ...]
    """Their names."""
    background: tuple[str, ...] = ()
    silence_dbfs: float = -70.0
    armed: bool = True
    """Off: audio is captured, but nothing is scored."""
    some: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Sources that listen for some labels only: their identifiers."""
    own: Mapping[tuple[str, str], LabelConfig] = field(default_factory=dict)
    """Labels as they are at a source where that differs, by source and identifier."""

    @property
    def enabled(self) -> tuple[LabelConfig, ...]:
        """Labels that are listened for."""
        return tuple(label for label in self.labels if label.enabled)

    def label(self, source: str, label: str) -> LabelConfig:
        """Return a label as it is listened for at a source, with the threshold that holds there.

        Raises
        ------
        ConfigError
            There is no such label or source, or the source does not listen for it.
        """
        if source not in self.sources:
            raise ConfigError(f"there is no source {source[:32]!r}; there is {', '.join(self.sources)}")
        everywhere = self.everywhere(label)
        if not self.listens(source, label):
            raise ConfigError(f"source {source} does not listen for {label}")
        return self.own.get((source, label)) or everywhere

    def everywhere(self, label: str) -> LabelConfig:
        """Return a label as it is where no source has it otherwise.

        Raises
        ------
        ConfigError
            There is none of this identifier.
        """
        found = next((each for each in self.labels if each.id == label), None)
        if found is None:
            raise ConfigError(f"there is no label {label[:32]!r}")
        return found

    def at(self, source: str) -> tuple[LabelConfig, ...]:
        """Labels that are listened for at a source, each with the threshold that holds there."""
        return tuple(self.label(source, label.id) for label in self.enabled if self.listens(source, label.id))

    def listens(self, source: str, label: str) -> bool:
        """Tell whether a source may listen for a label."""
        return label in self.some.get(source, (label,))

    @property
    def by_source(self) -> dict[str, tuple[LabelConfig, ...]]:
        """Labels that are listened for, by the name of the source."""
        return {source: self.at(source) for source in self.sources}

    @property
    def ids_by_source(self) -> dict[str, tuple[str, ...]]:
        """Identifiers of the labels that are listened for, by the name of the source."""
        return {source: tuple(label.id for label in self.at(source)) for source in self.sources}


def active_labels_of(config: Config, overrides: Overrides) -> tuple[ActiveLabels, list[str]]:
    """Apply to a configuration what was changed at run time; name, one line each, what does not fit it."""
    labels = {label.id: label for label in config.labels}
    unfit: list[str] = []
    for id_, keys in overrides.labels.items():
        if keys is None:
            labels.pop(id_, None)
            continue
        try:
            labels[id_] = changed_label(labels.get(id_), {**keys, "id": id_})
        except ConfigError as error:
            unfit.append(f"label {printable(id_)[:32]}: {error}")
    if len(labels) > MOST_LABELS:
        unfit.append(f"labels: there would be {len(labels)}; {MOST_LABELS} are possible")
    if not any(label.enabled for label in labels.values()):
        unfit.append("labels: none would be enabled; to hear nothing, switch listening off")
    names = tuple(source.name for source in config.sources)
    own: dict[tuple[str, str], LabelConfig] = {}
    for source, thresholds in overrides.thresholds.items():
        for id_, threshold in thresholds.items():
            if source in names and id_ in labels:
                own[source, id_] = with_threshold(labels[id_], threshold)
    active_labels = ActiveLabels(
        labels=tuple(labels.values()),
        sources=names,
        background=config.background,
        silence_dbfs=config.silence_dbfs,
        armed=overrides.armed,
        some={source.name: source.labels for source in config.sources if source.labels is not None},
        own=own,
    )
    return active_labels, unfit


def fitting(config: Config, overrides: Overrides) -> tuple[Overrides, ActiveLabels, list[str]]:
    """Return as much of the overrides as fits the configuration, what follows, and what does not fit."""
    overrides = overrides.without_gone({label.id for label in config.labels})
    active_labels, unfit = active_labels_of(config, overrides)
    if not unfit:
        return overrides, active_labels, []
    labels: dict[str, Mapping[str, object] | None] = {}
    for id_, keys in overrides.labels.items():
        if not active_labels_of(config, Overrides(labels={**labels, id_: keys}))[1]:
            labels[id_] = keys
    fitting = replace(overrides, labels=labels)
    return fitting, active_labels_of(config, fitting)[0], unfit
