"""Commands: each parses its options, calls one function and prints the result.

Heavy packages are imported inside the commands that need them, so that ``--help`` and ``check`` start in well
under a second, without torch or PortAudio.
"""

from monitor.cli import (  # noqa: I001 - the order of --help
    run,
    remote,
    config,
    labels,
    learn,
    label_lint,
    recordings,
    scan,
    memory,
    thresholds,
    unusual,
    fleet,
    fleet_labels,
    setup,
    home_assistant_app,
    keeping,
    qualify,
    export,
    bench,
)

from monitor.cli.app import app, main

__all__ = [
    "app",
    "bench",
    "config",
    "export",
    "fleet",
    "fleet_labels",
    "home_assistant_app",
    "keeping",
    "label_lint",
    "labels",
    "learn",
    "main",
    "memory",
    "qualify",
    "recordings",
    "remote",
    "run",
    "scan",
    "setup",
    "thresholds",
    "unusual",
]
