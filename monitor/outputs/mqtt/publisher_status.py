"""Publisher status: counts and problems of the MQTT output."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.outputs.mqtt.event_sender import EventSender
from monitor.outputs.mqtt.session import MqttSession

_HELD = "late events stay in the queue for the next run because Home Assistant has not come back"


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """State of the MQTT output at one moment."""

    connected: bool
    published: int
    """Starts and ends of events that the broker has acknowledged."""
    waiting: int
    """Starts and ends that it has not acknowledged; exact once `MqttPublisher.run` has returned."""
    dropped: int
    """Starts and ends lost because too many waited, for too long, or in a file that broke."""
    refused: int
    """Messages of any kind that the broker refused."""
    unreadable: int
    """Received messages that could not be read."""
    problems: list[str]
    """What the broker refuses although we are connected; each begins with host and port."""
    trouble: str | None
    """Why events wait, for display; begins with host and port."""


def publisher_status(session: MqttSession, events: EventSender) -> PublisherStatus:
    """Return the current status."""
    problems, waiting, connected = session.problems(), events.waiting, session.connected
    trouble = session.trouble or next(iter(problems), None)
    if waiting and not connected and events.late_events.active:
        trouble = session.trouble or f"{session.address}: {_HELD}"
    elif waiting and not connected:
        trouble = trouble or session.pending_trouble
    return PublisherStatus(
        connected=connected,
        published=events.published,
        waiting=waiting,
        dropped=events.dropped,
        refused=session.delivery.refused_topics.count,
        unreadable=session.unreadable,
        problems=problems,
        trouble=trouble,
    )
