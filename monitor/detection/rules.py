"""Rules: when the scores of a label are an event, in samples."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from monitor.config import Config, LabelConfig, SourceConfig, UnusualLabel, confirmations
from monitor.config.hours import Hours, parse_hours
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.engine import Engine


@dataclass(frozen=True, slots=True)
class Rule:
    """One label at one source; times in samples."""

    label: str
    rate: int
    hop: int
    threshold: float
    release: float
    hits: int
    """Windows that must reach the threshold, ..."""
    of: int
    """... of this many."""
    min_duration: int
    max_duration: int
    merge_gap: int
    cooldown: int
    pattern: str | None = None
    """Temporal pattern without which a window is no hit."""
    quiet: tuple[Hours, ...] = ()
    """Hours of the day in which no event starts."""


def rule_of(label: LabelConfig, *, rate: int, hop: int, quiet: tuple[Hours, ...] = ()) -> Rule:
    """Turn the configured seconds into samples and window counts."""
    hits, of = confirmations(label.confirm_seconds, hop / rate)

    def samples(seconds: float) -> int:
        return round(seconds * rate)

    return Rule(
        label=label.id,
        rate=rate,
        hop=hop,
        threshold=label.threshold,
        release=label.release,
        hits=hits,
        of=of,
        min_duration=samples(label.min_duration_seconds),
        max_duration=samples(label.max_duration_seconds),
        merge_gap=samples(label.merge_gap_seconds),
        cooldown=samples(label.cooldown_seconds),
        pattern=label.pattern,
        quiet=quiet,
    )


def rules_of(config: Config, engine: Engine, labels: ActiveLabels) -> dict[str, list[Rule]]:
    """Return the rules of the labels of each source, by its name."""
    return {
        source.name: [_rule_at(source, engine, label) for label in labels.at(source.name)]
        for source in config.sources
    }


def unusual_rules(config: Config, engine: Engine, sources: Collection[str]) -> dict[str, Rule]:
    """Return the rules of unusual sounds at some sources, by source."""
    label = UnusualLabel()
    return {
        source.name: _rule_at(source, engine, label) for source in config.sources if source.name in sources
    }


def _rule_at(source: SourceConfig, engine: Engine, label: LabelConfig) -> Rule:
    quiet = tuple(map(parse_hours, source.quiet_hours))
    return rule_of(label, rate=engine.rate, hop=engine.hop_of(source.name), quiet=quiet)
