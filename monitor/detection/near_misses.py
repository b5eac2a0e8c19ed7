"""Near misses: candidates that did not become an event, by reason.

Pure, and one report for each stretch of windows, not for each window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from monitor.types import GateReason, Scores

NEAR_SHARE = 0.6
"""A window is near from this share of the threshold on."""

QUIET_SECONDS = 2.0
"""A stretch is over after this long without a near window."""

SPACING_SECONDS = 10.0
"""Reports of one label at one source are at least so far apart; what comes between joins the next."""

LONGEST_SECONDS = 300.0
"""A stretch is reported after this long even if it continues, and then not again before it was over."""


class MissReason(StrEnum):
    """Why a near miss did not become an event."""

    BELOW_THRESHOLD = "below_threshold"
    """No window reached the threshold."""
    CONFUSABLE = "confusable"
    """No window reached the threshold, but one would have without the `against` and `background` prompts."""
    NOT_CONFIRMED = "not_confirmed"
    """Too few windows reached the threshold."""
    TOO_SHORT = "too_short"
    """Enough windows reached the threshold, but not for the minimum duration."""
    COOLDOWN = "cooldown"
    """Too soon after an event of the same label."""
    QUIET_HOURS = "quiet_hours"
    """During the quiet hours of the source."""
    NO_PATTERN = "no_pattern"
    """The `pattern` of the label was not found in the newest seconds."""
    SILENCE = "silence"
    """Too quiet to be scored before it was confirmed."""
    INTERRUPTED = "interrupted"
    """Audio was lost, or the source ended, before it was confirmed."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Near miss: windows that came close to the threshold of a label and did not become an event."""

    source: str
    label: str
    start: int
    """Sample index of the start of its first window."""
    stop: int
    """Sample index after its last window."""
    peak_at: float
    """Unix seconds of the end of its best window."""
    peak_score: float
    """Highest score of its windows, in [0, 1]."""
    threshold: float
    reason: MissReason
    against: str | None
    """The negative prompt that the best window sounded more like, if any."""
    windows: int
    """Windows at or above the threshold at best, of those that are counted together."""
    windows_needed: int
    """Windows that must reach the threshold."""
    level_dbfs: float
    """Level of the newest hop of the best window."""


@dataclass(slots=True)
class _Stretch:
    """Near windows of a label, at most `QUIET_SECONDS` apart."""

    first: Scores
    last: Scores
    best: Scores
    score: float = -1.0
    """Of the best window."""
    against: str | None = None
    """Prompt against the label that was nearer in the best window."""
    without_against: float = 0.0
    """Score of the best window without the prompts against the label."""
    hits: int = 0
    """Largest number of windows that agreed."""
    blocked: MissReason | None = None
    """Why windows that reached the threshold did not count."""
    silenced: bool | None = None
    """Whether the window after the last near one was gated as silence; None before there is one."""


class NearMisses:
    """One label at one source.

    Parameters
    ----------
    label : str
    rate : int
        Samples per second.
    threshold : float
        Score that a window has to reach.
    needed : int
        Windows that have to.
    """

    def __init__(self, label: str, *, rate: int, threshold: float, needed: int) -> None:
        self._label = label
        self._rate = rate
        self._threshold = threshold
        self._needed = needed
        self._stretch: _Stretch | None = None
        self._after_event = False
        """The near windows now are the end of an event."""
        self._reported = False
        """The near windows now have been reported."""
        self._not_before = 0

    @property
    def rest(self) -> bool:
        """Whether a window that is not near would change nothing."""
        return self._stretch is None and not (self._after_event or self._reported)

    def skip_event(self) -> None:
        """Discard the stretch: it is an event."""
        self._stretch = None
        self._after_event = True

    def update(
        self, scores: Scores, place: int, *, hits: Callable[[], int], blocked: MissReason | None = None
    ) -> NearMiss | None:
        """Add the next window without an event; return the near miss that is over with it.

        Parameters
        ----------
        scores : Scores
        place : int
            Index of the label in them.
        hits : callable
            Returns how many windows agree by now.
        blocked : MissReason or None
            Why windows do not count at the moment.
        """
        value = float(scores.values[place])
        near = value >= NEAR_SHARE * self._threshold
        self._after_event = self._after_event and near and value < self._threshold
        self._reported = self._reported and near
        if self._after_event or self._reported:
            return None
        if near:
            self._add(scores, place, hits(), blocked)
        stretch = self._stretch
        if stretch is None:
            return None
        if not near and stretch.silenced is None:
            stretch.silenced = scores.gated in {GateReason.SILENCE, GateReason.DIGITAL_SILENCE}
        lasts = scores.stop - stretch.last.stop <= QUIET_SECONDS * self._rate
        if scores.stop - stretch.first.stop < LONGEST_SECONDS * self._rate and (
            lasts or scores.stop < self._not_before
        ):
            return None
        self._reported = near
        return self._over(scores.stop, MissReason.NOT_CONFIRMED)

    def interrupt(self, index: int) -> NearMiss | None:
        """End the stretch at a break of the audio at a sample index; return its near miss."""
        self._after_event = self._reported = False
        return self._over(index, MissReason.INTERRUPTED)

    def _add(self, scores: Scores, place: int, hits: int, blocked: MissReason | None) -> None:
        value = float(scores.values[place])
        if self._stretch is None:
            self._stretch = _Stretch(scores, scores, scores)
        stretch = self._stretch
        stretch.last, stretch.silenced = scores, None
        stretch.hits = max(stretch.hits, hits)
        if value >= self._threshold:
            stretch.blocked = stretch.blocked or blocked
        if value > stretch.score:
            without = scores.without_against
            stretch.best, stretch.score = scores, value
            stretch.against = scores.nearest_against[place] if scores.nearest_against else None
            stretch.without_against = value if without is None else float(without[place])

    def _over(self, index: int, unconfirmed: MissReason) -> NearMiss | None:
        stretch, self._stretch = self._stretch, None
        if stretch is None:
            return None
        self._not_before = index + round(SPACING_SECONDS * self._rate)
        return NearMiss(
            source=stretch.first.source,
            label=self._label,
            start=stretch.first.start,
            stop=stretch.last.stop,
            peak_at=stretch.best.ended_at,
            peak_score=stretch.score,
            threshold=self._threshold,
            reason=self._reason(stretch, unconfirmed),
            against=stretch.against,
            windows=stretch.hits,
            windows_needed=self._needed,
            level_dbfs=stretch.best.level_dbfs,
        )

    def _reason(self, stretch: _Stretch, unconfirmed: MissReason) -> MissReason:
        if stretch.score < self._threshold:
            overruled = stretch.against is not None and stretch.without_against >= self._threshold
            return MissReason.CONFUSABLE if overruled else MissReason.BELOW_THRESHOLD
        if stretch.hits >= self._needed:
            return MissReason.TOO_SHORT
        if not stretch.hits and stretch.blocked is not None:
            return stretch.blocked
        return MissReason.SILENCE if stretch.silenced else unconfirmed
