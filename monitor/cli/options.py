"""Options of the command line that override the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.config import Config


@dataclass(frozen=True, slots=True)
class Overrides:
    """Options of one command; None, or empty, keeps what is configured."""

    model: str | None = None
    labels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    rate: int | None = None
    """Of raw samples, in Hz."""
    sample_format: str | None = None
    channels: int | None = None
    fast: bool = False
    """Replay files as fast as the model can score."""
    web: str | None = None
    """Address of the page; empty for the configured one."""
    state: Path | None = None
    """State directory."""


def settings_from(path: Path | None, overrides: Overrides) -> Config:
    """Load the configuration, or take the defaults, and apply the options.

    Where a monitor follows a fleet, its labels are those of the newest watchlist that it has accepted.
    """
    from monitor.config import (
        Config,
        FleetConfig,
        load,
        replace_labels,
        replace_sources,
        serve_at,
        source_from_argument,
    )

    config = Config() if path is None else load(path)
    if overrides.state is not None:
        config = config.model_copy(update={"state": overrides.state})
    if config.fleet.follow and not overrides.labels:
        from monitor.fleet.follower import Follower

        config = Follower(config.fleet, config.state).over(config)
    if overrides.labels:
        config = replace_labels(config, list(overrides.labels))
        config = config.model_copy(update={"fleet": FleetConfig()})  # or a watchlist would replace them
    if overrides.sources:
        replaced = [
            source_from_argument(
                source,
                rate=overrides.rate,
                format=overrides.sample_format,
                channels=overrides.channels,
            )
            for source in overrides.sources
        ]
        config = replace_sources(config, replaced)
    if overrides.model is not None:
        checkpoint = config.model.model_copy(update={"checkpoint": overrides.model, "revision": None})
        config = config.model_copy(update={"model": checkpoint})
    sources = config.enabled_sources
    if overrides.fast:
        sources = tuple(s if s.live else s.model_copy(update={"pace": "fast"}) for s in sources)
    config = config.model_copy(update={"sources": sources})
    return config if overrides.web is None else serve_at(config, overrides.web)
