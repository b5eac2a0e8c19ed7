"""Queued messages for tests, and damage to queue files."""

from monitor.outputs.mqtt.queue_file import QueuedMessage


def queued(number, *, phase="start", event=None, queued_at=0.0, label="glass", more=""):
    """Return the start or the end of an event of its own."""
    payload = {
        "event_id": event or f"{number:026d}",
        "phase": phase,
        "source": "mic0",
        "event_type": label,
        "reason": None if phase == "start" else "quiet",
        "name": f"Küche{more}",
    }
    return QueuedMessage(number, "home/mic0/event", payload, happened_at=100.0 + number, queued_at=queued_at)


def overwrite(path, old, new):
    """Change bytes in the middle of a file."""
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
