"""Events to test with, and what is said of them."""

from monitor.config import LabelConfig
from monitor.outputs.payload import event_payload
from monitor.types import Event

RATE = 48_000


def event(label="dog", *, source="porch", number=1, at=1_795_435_203.4, score=0.83, ended=False):
    """Return the start or the end of an event that began at ``at``."""
    return Event(
        id=f"{number:026d}",
        source=source,
        label=label,
        start=8 * RATE,
        stop=10 * RATE if ended else None,
        started_at=at,
        ended_at=at + 2 if ended else None,
        score=score,
        peak=score,
        windows=2,
        level_dbfs=-18.2,
        uncertainty_seconds=1.0,
        reason="quiet" if ended else None,
    )


def label_of(ident):
    return LabelConfig(id=ident, prompts=(f"a {ident}",))


def payload(label="dog", **changes):
    """Return what the broker, and a hook, would be told of `event`."""
    return event_payload(
        event(label, **changes),
        node="home",
        label=label_of(label),
        model="starter",
        published_at=1_795_435_204.0,
    )
