"""Commands: each parses its options, calls one function and prints the result.

Heavy packages are imported inside the commands that need them, so that ``--help`` and ``check`` start in well
under a second, without torch or PortAudio.
"""

from monitor.cli import (  # noqa: I001 - the order of --help
    run,
    remote,
    config,
    label_commands,
    learn,
    label_lint,
    recordings,
    scan,
    memory_commands,
    thresholds,
    unusual_command,
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
    "label_commands",
    "label_lint",
    "learn",
    "main",
    "memory_commands",
    "qualify",
    "recordings",
    "remote",
    "run",
    "scan",
    "setup",
    "thresholds",
    "unusual_command",
]
