"""The configuration, as the command line changes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.config import Config


def settings_from(
    path: Path | None,
    sources: list[str] | None,
    model: str | None,
    labels: list[str] | None,
    *,
    fast: bool,
    raw: tuple[int | None, str | None, int | None] = (None, None, None),
    web: str | None = None,
) -> Config:
    """Return the configuration, changed by the command line."""
    from monitor.config import (
        Config,
        load,
        replace_labels,
        replace_sources,
        serve_at,
        source_from_argument,
    )

    config = Config() if path is None else load(path)
    if labels:
        config = replace_labels(config, labels)
    if sources:
        rate, sample_format, channels = raw
        config = replace_sources(
            config,
            [source_from_argument(s, rate=rate, format=sample_format, channels=channels) for s in sources],
        )
    if model is not None:
        checkpoint = config.model.model_copy(update={"checkpoint": model, "revision": None})
        config = config.model_copy(update={"model": checkpoint})
    if fast:
        hurried = (s if s.live else s.model_copy(update={"pace": "fast"}) for s in config.sources)
        config = config.model_copy(update={"sources": tuple(hurried)})
    config = config.model_copy(update={"sources": config.enabled_sources})
    return config if web is None else serve_at(config, web)
