"""Reload: which keys of a configuration take effect while the monitor runs, and the result."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from monitor.config import Config, differences

log = logging.getLogger(__name__)

RELOADABLE = ("include", "labels", "background", "silence_dbfs", "clips", "mqtt", "log_level")
"""Keys of the configuration that take effect while the monitor runs; the others need a restart."""

FIXED_CLIP_KEYS = ("enabled", "format", "speech_filter")
"""Keys of ``clips`` that need a restart: they hold from the start of a clip to its end."""

MOST_FAULTS = 20
"""Lines about a file that is refused; `clap-monitor check` shows all."""


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


def reloadable(now: Config, wanted: Config) -> tuple[Config, tuple[str, ...]]:
    """Return the wanted configuration as far as it can be applied now, and the lines that need a restart."""
    update = {key: getattr(wanted, key) for key in RELOADABLE}
    if (now.mqtt.host is None) != (wanted.mqtt.host is None):
        update["mqtt"] = now.mqtt
    kept = {key: getattr(now.clips, key) for key in FIXED_CLIP_KEYS}
    update["clips"] = wanted.clips.model_copy(update=kept)
    config = now.model_copy(update=update)
    lines = [line for lines in differences(config, wanted).values() for line in lines]
    return config, tuple(lines)


def first_lines(lines: list[str]) -> tuple[str, ...]:
    """Return as many lines as fit into a status and a log."""
    more = len(lines) - MOST_FAULTS
    return (*lines[:MOST_FAULTS], f"and {more} more faults") if more > 0 else tuple(lines)


def log_reload(done: Reload) -> None:
    """Log what a reload has changed, and what it has not."""
    log.info("reloaded: %s", "; ".join(done.changed) or "nothing has changed")
    for line in done.needs_restart:
        log.warning("reloaded: %s: needs a restart", line)
    for line in done.left_out:
        log.warning("reloaded: changed at run time: %s; left out", line)
