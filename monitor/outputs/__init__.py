"""Outputs: one contract for everything that receives events, scores, near misses, labels and health.

A new output is one file with a subclass of `Output`, and one line in `monitor.daemon.build`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.audio.source_status import Health
    from monitor.config import Config, LabelConfig
    from monitor.detection.active_labels import ActiveLabels
    from monitor.detection.near_misses import NearMiss
    from monitor.detection.rules import Rule
    from monitor.outputs.live.listening import Listen
    from monitor.system.threads import ThreadGroup
    from monitor.types import Break, Event, Scores


class Output:
    """One output; every method does nothing unless an output overrides it.

    No method waits: an output with slow work puts it into a bounded queue of its own, which a thread
    started by `start` empties.  The analysis calls every method but `start` and `on_health`, which the main
    thread calls, and `on_listen`, which the web server calls.
    """

    def start(self, threads: ThreadGroup) -> None:
        """Start the threads of the output."""

    def on_event(self, event: Event, label: LabelConfig) -> None:
        """Receive an event when it starts and again when it ends, with its label at that time."""

    def on_scores(self, scores: Scores) -> None:
        """Receive the scores of a window."""

    def on_break(self, at: Break) -> None:
        """Receive a break in the audio of a source, before the windows after it."""

    def on_near_miss(self, miss: NearMiss) -> None:
        """Receive a near miss."""

    def on_listen(self, listen: Listen, listeners: int) -> None:
        """Receive that somebody begins or ends to hear a source live, and how many hear it from then on."""

    def on_labels(self, active_labels: ActiveLabels, rules: Mapping[str, Sequence[Rule]]) -> None:
        """Receive the labels in force, with their rules by the name of the source.

        Called before the first window, and whenever they change.
        """

    def apply(self, config: Config) -> None:
        """Apply changed settings: the sections ``mqtt`` and ``clips`` may differ."""

    def on_health(self, healths: Mapping[str, Health], snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Receive the health of every source by its name, once a second.

        ``snapshot`` returns what `clap-monitor status` shows.  It costs time: called only if needed.
        """

    def close(self) -> None:
        """End soon: nothing more comes; the threads deliver what waits, and return."""
