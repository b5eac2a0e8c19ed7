"""State of `watch`: newest levels, scores, events and near misses; bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.cli.console.status_view import clock

NEWEST = 50
"""Events and near misses to keep."""


@dataclass(frozen=True, slots=True)
class Row:
    """One label of one source in the newest window."""

    source: str
    label: str
    score: float
    threshold: float

    @property
    def share(self) -> float:
        """Score as a share of the threshold."""
        return self.score / self.threshold if self.threshold > 0 else float("inf")


class WatchState:
    """State after the lines of `monitor.outputs.live.watch` so far."""

    def __init__(self) -> None:
        self.status: Mapping[str, Any] = {}
        self.levels: dict[str, float | None] = {}
        """Newest level of each source, in dB of full scale; None for digital silence."""
        self.gated: dict[str, str | None] = {}
        """Gate reason of the newest window of each source; None if it was scored."""
        self.news: deque[str] = deque(maxlen=NEWEST)
        """Lines about events and near misses, newest last."""
        self._scores: dict[str, Mapping[str, float]] = {}

    def apply(self, line: Mapping[str, Any]) -> str | None:
        """Apply the next line; return it as text if it is an event or a near miss."""
        kind = line["kind"]
        text = None
        if kind == "status":
            self.status = line
        elif kind == "scores":
            self.levels[line["source"]] = line["level_dbfs"]
            self.gated[line["source"]] = line["gated"]
            self._scores[line["source"]] = line["scores"]
        elif kind == "event":
            text = self._event(line)
        elif kind == "near_miss":
            text = self._miss(line)
        if text is not None:
            self.news.append(text)
        return text

    def rows(self) -> list[Row]:
        """Return all labels of all sources, those nearest to their threshold first."""
        rows = [
            Row(source, label, score, self._threshold(source, label))
            for source, scores in self._scores.items()
            for label, score in scores.items()
        ]
        return sorted(rows, key=lambda row: (-row.share, row.source, row.label))

    def title(self, label: str) -> str:
        """Return the display name of a label."""
        return next((each["name"] for each in self.status.get("labels", ()) if each["id"] == label), label)

    def _threshold(self, source: str, label: str) -> float:
        for each in self.status.get("labels", ()):
            if each["id"] == label:
                return float(each["thresholds"].get(source, each["threshold"]))
        return 1.0

    def _event(self, event: Mapping[str, Any]) -> str:
        title = event["label_name"]
        if event["ended_at"] is None:
            return f"{clock(event['started_at'])}  {event['source']}  start  {title}  ({event['score']:.2f})"
        seconds = event["ended_at"] - event["started_at"]
        how = f"lasted {seconds:.1f} s, peak {event['peak_score']:.2f}, ended by {event['reason']}"
        return f"{clock(event['ended_at'])}  {event['source']}  end    {title}  ({how})"

    def _miss(self, miss: Mapping[str, Any]) -> str:
        why = str(miss["reason"]).replace("_", " ")
        title = self.title(miss["label"])
        return (
            f"{clock(miss['peak_at'])}  {miss['source']}  near   {title}  ({miss['peak_score']:.2f}: {why})"
        )
