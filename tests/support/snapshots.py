"""Snapshots of a monitor, as `clap-monitor status` is told them, to test with."""

import copy

NOW = 1_795_435_203.0

HEALTHY = {
    "schema": 1,
    "node": "home",
    "version": "0.1.0",
    "pid": 4711,
    "started_at": NOW - 11_520.0,
    "configured_at": NOW - 11_520.0,
    "uptime_seconds": 11_520.0,
    "model": {
        "name": "starter",
        "engine": "onnx",
        "device": "cpu",
        "dtype": "float32",
        "window_seconds": 1.0,
        "hop_seconds": 0.5,
        "rate": 32_000,
        "calibration": {
            "source": "qualified",
            "kit": 1,
            "made_at": NOW - 90_000.0,
            "auroc": 0.93,
            "recall": {"20": 0.7, "10": 0.55, "5": 0.4},
            "false_alarms": 1.1,
            "zero_shot": 0.75,
        },
    },
    "armed": True,
    "watchlist": None,
    "changed_at_run_time": False,
    "changes_kept": True,
    "real_time_factor": 0.021,
    "windows": {"scored": 23_000, "gated": 40, "late": 3},
    "events": 12,
    "commands": {"done": 7, "replaced": 2, "refused": 3, "lost": 1},
    "lag_seconds": 0.4,
    "problems": [],
    "sources": {
        "porch": {
            "online": True,
            "ended": False,
            "offline": False,
            "offline_at": None,
            "offline_reason": None,
            "offline_text": None,
            "overloaded": False,
            "level_dbfs": -41.2,
            "captured_seconds": 11_500.5,
            "lost_seconds": 0.25,
            "dropped_seconds": 1.75,
            "lag_seconds": 0.4,
            "overflows": 1,
            "gaps": 1,
            "reopened": 2,
            "listeners": 1,
            "listeners_lost_seconds": 0.5,
            "windows": {"scored": 23_000, "late": 3, "gated": {"silence": 30, "gap": 10}},
        },
        "crib": {
            "online": True,
            "ended": False,
            "offline": False,
            "offline_at": None,
            "offline_reason": None,
            "offline_text": None,
            "overloaded": False,
            "level_dbfs": None,
            "captured_seconds": 0.0,
            "lost_seconds": 0.0,
            "dropped_seconds": 0.0,
            "lag_seconds": 0.0,
            "overflows": 0,
            "gaps": 0,
            "reopened": 0,
            "listeners": 0,
            "listeners_lost_seconds": 0.0,
            "windows": {"scored": 0, "late": 0, "gated": {}},
        },
    },
    "labels": [
        {
            "id": "dog",
            "name": "Dog bark",
            "enabled": True,
            "prompts": ["a dog barking"],
            "threshold": 0.5,
            "thresholds": {"porch": 0.5, "crib": 0.7},
            "last_event": {
                "event_id": "0" * 26,
                "label": "dog",
                "label_name": "Dog",
                "source": "porch",
                "started_at": NOW - 72.0,
                "ended_at": NOW - 70.0,
                "score": 0.71,
                "peak_score": 0.83,
            },
        },
        {
            "id": "cat",
            "name": "Cat",
            "enabled": False,
            "prompts": ["a cat meowing"],
            "threshold": 0.5,
            "thresholds": {"porch": 0.5, "crib": 0.5},
            "last_event": None,
        },
    ],
    "mqtt": {
        "connected": True,
        "published": 24,
        "waiting": 0,
        "dropped": 0,
        "refused": 0,
        "problems": [],
        "trouble": None,
    },
    "store": {"written": 240, "waiting": 1, "dropped": 0, "trouble": None},
    "memory": {"written": 240, "waiting": 1, "dropped": 0, "bytes": 253_440, "trouble": None},
    "clips": {"bytes": 34_500_000, "deleted": 7, "decided": {"kept": 12, "speech": 2}, "trouble": None},
    "notify": [{"name": "phone", "sent": 3, "failed": 1, "held": 5, "dropped": 0, "trouble": None}],
    "hooks": [{"name": "siren", "done": 2, "failed": 0, "killed": 1, "dropped": 0, "trouble": None}],
    "http": {"refused": 2, "turned_away": 1, "expired": 3, "faults": 0},
    "directories": {"state": None, "recordings": None},
    "disk_free_bytes": {"state": 12_300_000_000, "recordings": 12_300_000_000},
    "reload": None,
}


def snapshot(**changes):
    """Return the one of a healthy monitor, with changes."""
    return copy.deepcopy(HEALTHY) | changes


def offline():
    """Return one of a monitor whose source at the crib is lost."""
    told = snapshot(problems=[{"what": "crib", "why": "offline: device lost"}])
    told["sources"]["crib"] |= {
        "online": False,
        "offline": True,
        "offline_at": NOW - 754.0,
        "offline_reason": "lost",
        "offline_text": "device lost",
    }
    return told
