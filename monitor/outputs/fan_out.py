"""Fan-out: hands every event, score, near miss, change and health report to every output.

One rule: trouble of one output never reaches another, nor the analysis.  Outputs handle a full disk or an
absent broker themselves; whatever else one of them raises is a bug in clap-monitor, which is logged,
counted and shown as a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from monitor.audio.source_status import Health
from monitor.config import Config, LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.near_misses import NearMiss
from monitor.detection.rules import Rule
from monitor.outputs import Output
from monitor.outputs.faults import Faults
from monitor.system.threads import ThreadGroup
from monitor.types import Break, Event, Scores


class FanOut(Output):
    """Every output, as one: called in their order, with the names that the log and the status give them.

    ``record`` receives each event and its label before all outputs, and returns the event with the link to
    its clip.  Bugs in clap-monitor in each output are counted in ``faults``, by its name.
    """

    def __init__(
        self,
        outputs: Mapping[str, Output],
        record: Callable[[Event, LabelConfig], Event],
        faults: dict[str, Faults],
    ) -> None:
        faults.update({name: Faults() for name in outputs})
        self._outputs, self._record, self._faults = outputs, record, faults

    def start(self, threads: ThreadGroup) -> None:
        """Start the threads of every output."""
        for output in self._outputs.values():
            output.start(threads)

    def on_event(self, event: Event, label: LabelConfig) -> None:
        """Begin or end the clip of the event, then give the event to every output."""
        event = self._record(event, label)
        self._each(lambda output: output.on_event(event, label))

    def on_scores(self, scores: Scores) -> None:
        """Give the scores of a window to every output."""
        self._each(lambda output: output.on_scores(scores))

    def on_break(self, at: Break) -> None:
        """Give a break in the audio of a source to every output."""
        self._each(lambda output: output.on_break(at))

    def on_near_miss(self, miss: NearMiss) -> None:
        """Give a near miss to every output."""
        self._each(lambda output: output.on_near_miss(miss))

    def on_labels(self, active_labels: ActiveLabels, rules: Mapping[str, Sequence[Rule]]) -> None:
        """Give the labels in force to every output."""
        self._each(lambda output: output.on_labels(active_labels, rules))

    def apply(self, config: Config) -> None:
        """Apply changed settings to every output."""
        self._each(lambda output: output.apply(config))

    def on_health(self, healths: Mapping[str, Health], snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Give the health of every source to every output; the snapshot is made once, and only if needed."""
        once = cache(snapshot)
        self._each(lambda output: output.on_health(healths, once))

    def close(self) -> None:
        """Close every output."""
        self._each(lambda output: output.close())

    def _each(self, call: Callable[[Output], None]) -> None:
        for name, output in self._outputs.items():
            with self._faults[name].counted(name):
                call(output)
