"""Events and near misses to test with."""

from dataclasses import replace

from monitor.config import LabelConfig
from monitor.detection.near_misses import MissReason, NearMiss
from monitor.outputs.payload import event_message
from monitor.system.clock_sync import ClockSync
from monitor.types import EndReason, Event

RATE = 8_000
AT = 1_795_435_203.4


def event(label="dog", *, number=1, at=AT, **fields):
    """Return an event that began at ``at`` and lasts; ``fields`` replace what it has otherwise."""
    known = {"id": f"{number:026d}", "source": "porch", "label": label, "start": 8 * RATE, "stop": None}
    known |= {"started_at": at, "ended_at": None, "score": 0.83, "peak_score": fields.get("score", 0.83)}
    known |= {"windows": 2, "level_dbfs": -18.2, "uncertainty_seconds": 1.0}
    return Event(**known | fields)


def ended(start, seconds=2.0, **fields):
    """Return the same event after its end."""
    end = {"stop": start.start + round(seconds * RATE), "ended_at": start.started_at + seconds}
    return replace(start, **end | {"reason": EndReason.QUIET} | fields)


def near_miss(label="dog", *, at=AT, reason=MissReason.BELOW_THRESHOLD, **fields):
    """Return a near miss whose newest window ended at ``at``."""
    known = {"source": "porch", "label": label, "start": 0, "stop": 3 * RATE, "peak_at": at}
    known |= {"peak_score": 0.4, "threshold": 0.5, "reason": reason, "against": None}
    known |= {"windows": 0, "windows_needed": 2}
    return NearMiss(**known | {"level_dbfs": float("-inf")} | fields)


def label_of(ident):
    return LabelConfig(id=ident, prompts=(f"a {ident}",))


def payload(label="dog", *, over=False, **fields):
    """Return the payload of `event`, or of its end, as MQTT and hooks publish it."""
    start = event(label, **fields)
    return event_message(
        ended(start) if over else start,
        node="home",
        label=label_of(label),
        model="starter",
        published_at=1_795_435_204.0,
        clock=ClockSync(synchronised=True, error_seconds=0.01),
    )
