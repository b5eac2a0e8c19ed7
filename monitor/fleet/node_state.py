"""Node state: what one monitor has told the broker of itself, and what follows for a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from monitor.config.section import MOST_SOURCES
from monitor.system.boundary import printable

SILENT_SECONDS = 300.0
"""A node whose newest information is older is silent; it tells something once a minute."""

MOST_TEXT = 200
"""Characters of a text of a node that are kept."""

_LARGEST = 1e12
"""Numbers beyond it are not shown: no time and no count is so large."""

MOST_PROBLEMS = MOST_SOURCES + 8
"""Sources and problems of a node that are looked at."""


@dataclass(frozen=True, slots=True)
class LastEvent:
    """Newest event of a node."""

    source: str
    label: str
    label_name: str
    started_at: float
    """Unix seconds."""
    peak_score: float


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a node says of the watchlist of its fleet."""

    version: int | None
    """In force; None: none yet."""
    refused_version: int | None
    reason: str | None
    """Why it was refused."""
    left_out: tuple[str, ...]
    """Changes made at the node that do not fit the watchlist."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """State of a node, ready for a table; None where the node has not said it."""

    node: str
    online: bool
    deaf: str | None
    """Why it hears nothing, or not at all its sources; None if it hears."""
    armed: bool | None
    version: str | None
    model: str | None
    calibration: str | None
    real_time_factor: float | None
    clock_synchronised: bool | None
    clock_error_seconds: float | None
    sources: int
    labels: int | None
    events: int | None
    entities: int
    """Enabled entities of Home Assistant."""
    problems: tuple[str, ...]
    last_event: LastEvent | None
    watchlist: Acknowledgement | None
    """None: the node follows none."""
    at: float | None
    """Unix seconds of the newest information."""

    def document(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self)


def node_state(
    node: str, status: str | None, info: Mapping[str, Any], last_event: LastEvent | None, now: float
) -> NodeState:
    """Return the state of a node.

    Parameters
    ----------
    node : str
    status : str or None
        Text of its status topic.
    info : mapping
        Content of its information topic: whatever somebody has published there; empty if nothing.
    last_event : LastEvent or None
        The newest event that was seen to arrive.
    now : float
        Unix seconds.
    """
    at = _number(info.get("at"))
    told = last_event_of(info.get("last_event"))
    newest = max(
        (each for each in (told, last_event) if each is not None),
        key=lambda event: event.started_at,
        default=None,
    )
    sources = _mapping(info.get("sources"))
    online = status == "online"
    return NodeState(
        node=node,
        online=online,
        deaf=_deaf(sources, at, now) if online else "offline",
        armed=_flag(info.get("armed")),
        version=text_of(info.get("version")),
        model=text_of(info.get("model")),
        calibration=text_of(info.get("calibration")),
        real_time_factor=_number(info.get("real_time_factor")),
        clock_synchronised=_flag(info.get("clock_synchronised")),
        clock_error_seconds=_number(info.get("clock_error_seconds")),
        sources=len(sources),
        labels=_count(info.get("labels")),
        events=_count(info.get("events")),
        entities=_count(info.get("entities")) or 0,
        problems=tuple(_problems(info.get("problems"))),
        last_event=newest,
        watchlist=_acknowledgement(info.get("watchlist")),
        at=at,
    )


def last_event_of(content: object) -> LastEvent | None:
    """Return an event as far as it is shown; None if it is none."""
    event = _mapping(content)
    source, label = text_of(event.get("source")), text_of(event.get("label"))
    at, score = _number(event.get("started_at")), _number(event.get("peak_score"))
    if source is None or label is None or at is None or score is None:
        return None
    return LastEvent(source, label, text_of(event.get("label_name")) or label, at, score)


def text_of(value: object) -> str | None:
    """Return a text for display, from somebody who may write anything; None if it is none."""
    return printable(value[:MOST_TEXT]) if isinstance(value, str) else None


def _deaf(sources: Mapping[str, Any], at: float | None, now: float) -> str | None:
    if at is None:
        return "says nothing of itself: its version is too old for a fleet"
    if now - at > SILENT_SECONDS:
        return f"silent for {(now - at) / 60:.0f} minutes"
    for name, content in sources.items():
        source = _mapping(content)
        if source.get("offline_reason") is not None:
            why = text_of(source.get("offline_text")) or text_of(source.get("offline_reason")) or ""
            return f"{printable(name[:32])}: {why}"
    return None


def _problems(content: object) -> list[str]:
    items = content[:MOST_PROBLEMS] if isinstance(content, list) else []
    pairs = [
        (text_of(each.get("what")), text_of(each.get("why"))) for each in items if isinstance(each, dict)
    ]
    return [f"{what}: {why}" for what, why in pairs if what is not None and why is not None]


def _acknowledgement(content: object) -> Acknowledgement | None:
    if not isinstance(content, dict):
        return None
    left_out = content.get("left_out")
    lines = left_out[:MOST_PROBLEMS] if isinstance(left_out, list) else []
    return Acknowledgement(
        version=_count(content.get("version")),
        refused_version=_count(content.get("refused_version")),
        reason=text_of(content.get("reason")),
        left_out=tuple(text for line in lines if (text := text_of(line)) is not None),
    )


def _mapping(content: object) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        return {}
    return dict(list(content.items())[:MOST_PROBLEMS])


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= _LARGEST else None  # type: ignore[arg-type]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
