"""Node state: the newest messages of one monitor at the broker, as a row for a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from monitor.config.section import MOST_SOURCES
from monitor.system.boundary import printable

SILENT_SECONDS = 300.0
"""A node whose newest information is older is silent; it tells something once a minute."""

MOST_TEXT = 200
"""Characters of a text of a node that are kept."""

_LARGEST = 1e12
"""Numbers beyond it are not shown: no time and no count is so large."""

MOST_LOOKED_AT = MOST_SOURCES + 8
"""Sources of a node that are looked at."""

MOST_LINES = 20
"""Problems of a node that are kept, and changes that do not fit its watchlist."""


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
    """State of a node, ready for a table; None where the node has not reported it."""

    node: str
    online: bool
    no_audio: str | None
    """Why the node, or one of its sources, delivers no audio; None if all do."""
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


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What is kept of the information that a node published: a few kB at most, whoever wrote it."""

    armed: bool | None = None
    version: str | None = None
    model: str | None = None
    calibration: str | None = None
    real_time_factor: float | None = None
    clock_synchronised: bool | None = None
    clock_error_seconds: float | None = None
    sources: int = 0
    no_audio: str | None = None
    """Which source delivers nothing, and why."""
    labels: int | None = None
    events: int | None = None
    entities: int = 0
    problems: tuple[str, ...] = ()
    last_event: LastEvent | None = None
    watchlist: Acknowledgement | None = None
    at: float | None = None


def node_info(content: Mapping[str, Any]) -> NodeInfo:
    """Return what counts of the information of a node: whatever somebody has published there."""
    sources = _mapping(content.get("sources"))
    return NodeInfo(
        armed=_flag(content.get("armed")),
        version=text_of(content.get("version")),
        model=text_of(content.get("model")),
        calibration=text_of(content.get("calibration")),
        real_time_factor=_number(content.get("real_time_factor")),
        clock_synchronised=_flag(content.get("clock_synchronised")),
        clock_error_seconds=_number(content.get("clock_error_seconds")),
        sources=len(sources),
        no_audio=_source_without_audio(sources),
        labels=_count(content.get("labels")),
        events=_count(content.get("events")),
        entities=_count(content.get("entities")) or 0,
        problems=tuple(_problems(content.get("problems"))),
        last_event=last_event_of(content.get("last_event")),
        watchlist=_acknowledgement(content.get("watchlist")),
        at=_number(content.get("at")),
    )


def node_state(
    node: str, status: str | None, info: NodeInfo, last_event: LastEvent | None, now: float
) -> NodeState:
    """Return the state of a node.

    Parameters
    ----------
    node : str
    status : str or None
        Text of its status topic.
    info : NodeInfo
    last_event : LastEvent or None
        The newest event that was seen to arrive.
    now : float
        Unix seconds.
    """
    newest = max(
        (each for each in (info.last_event, last_event) if each is not None),
        key=lambda event: event.started_at,
        default=None,
    )
    known = {field.name: getattr(info, field.name) for field in fields(info)}
    online = status == "online"
    no_audio = _silence(info.at, now) or info.no_audio if online else "offline"
    return NodeState(node=node, online=online, **known | {"no_audio": no_audio, "last_event": newest})


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


def _silence(at: float | None, now: float) -> str | None:
    if at is None:
        return "says nothing of itself: its version is too old for a fleet"
    return f"silent for {(now - at) / 60:.0f} minutes" if now - at > SILENT_SECONDS else None


def _source_without_audio(sources: Mapping[str, Any]) -> str | None:
    for name, content in sources.items():
        source = _mapping(content)
        if source.get("offline_reason") is not None:
            why = text_of(source.get("offline_text")) or text_of(source.get("offline_reason")) or ""
            return f"{printable(name[:32])}: {why}"
    return None


def _problems(content: object) -> list[str]:
    items = content[:MOST_LINES] if isinstance(content, list) else []
    pairs = [
        (text_of(each.get("what")), text_of(each.get("why"))) for each in items if isinstance(each, dict)
    ]
    return [f"{what}: {why}" for what, why in pairs if what is not None and why is not None]


def _acknowledgement(content: object) -> Acknowledgement | None:
    if not isinstance(content, dict):
        return None
    left_out = content.get("left_out")
    lines = left_out[:MOST_LINES] if isinstance(left_out, list) else []
    return Acknowledgement(
        version=_count(content.get("version")),
        refused_version=_count(content.get("refused_version")),
        reason=text_of(content.get("reason")),
        left_out=tuple(text for line in lines if (text := text_of(line)) is not None),
    )


def _mapping(content: object) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        return {}
    return dict(list(content.items())[:MOST_LOOKED_AT])


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= _LARGEST else None  # type: ignore[arg-type]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
