"""Run the command as a user does, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_STARTER = json.loads((ROOT / "monitor/starter/processor_config.json").read_text())["feature_extractor"]
WINDOW = min(5.0, _STARTER["max_length_s"])
"""Seconds in a window of the starter."""

HOP = min(1.0, WINDOW / 2)
"""Seconds from one window to the next."""
COMMAND = [sys.executable, "-W", "error", "-m", "monitor"]

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CLAP_"))},
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "120",
    "PYTHONPATH": str(ROOT),
}


def clap_monitor(*arguments, cwd, stdin=b"", env=None, seconds=600):
    """Run to its end; return the completed process with text on both outputs."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env=ENVIRONMENT | (env or {}),
        timeout=seconds,
        check=False,
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


def windows_in(seconds):
    """Windows of the starter that a recording holds."""
    return int((seconds - WINDOW) / HOP) + 1


def start(*arguments, cwd, env=None, **options):
    """Start it and return the process, its standard output a text pipe."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def events_of(done):
    """JSON lines on standard output."""
    return [json.loads(line) for line in done.stdout.splitlines()]
