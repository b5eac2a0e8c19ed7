"""Health payloads: JSON about levels, source health, warnings and refused commands; pure functions."""

from __future__ import annotations

from monitor.audio.source_status import Health
from monitor.outputs.payload import SCHEMA, rounded_dbfs

_OVERLOADED = "windows are left out: the model is slower than the hop"


def refused_payload(topic: str, reason: str) -> dict[str, object]:
    """Return a refused command and the reason."""
    return {"topic": topic, "reason": reason}


def level_payload(dbfs: float) -> dict[str, float | None]:
    """Return a level in dB of full scale; null for digital silence."""
    return {"level_dbfs": rounded_dbfs(dbfs)}


def health_payload(health: Health) -> dict[str, object]:
    """Return the health of a source and the audio lost so far."""
    return {
        "offline": health.offline_reason is not None,
        "offline_reason": health.offline_reason,
        "offline_text": health.offline_text,
        "overloaded": health.overloaded,
        "dropped_seconds": round(health.dropped_seconds, 1),
    }


def warning_payloads(
    before: Health, after: Health, *, node: str, source: str, at: float
) -> list[dict[str, object]]:
    """Return the source problems that started (``phase`` start) and ended (``phase`` end).

    Parameters
    ----------
    before, after : Health
    node, source : str
    at : float
        Unix seconds.
    """
    texts = {"offline": after.offline_text, "overloaded": _OVERLOADED}
    problems = {
        "offline": (before.offline_reason is not None, after.offline_reason is not None),
        "overloaded": (before.overloaded, after.overloaded),
    }
    return [
        {
            "schema": SCHEMA,
            "warning": name,
            "phase": "start" if is_active else "end",
            "node": node,
            "source": source,
            "at": round(at, 3),
            "reason": after.offline_reason if is_active and name == "offline" else None,
            "text": texts[name] if is_active else None,
            "dropped_seconds": round(after.dropped_seconds, 1),
        }
        for name, (was_active, is_active) in problems.items()
        if was_active != is_active
    ]
