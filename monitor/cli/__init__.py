"""The commands: parse, call one function, print.

Everything heavy is imported inside the command that needs it, so that ``--help`` and ``check`` start
in well under a second and load neither torch nor PortAudio.
"""

from monitor.cli import run, remote, config, recordings, setup, bench  # noqa: I001 - the order of --help
from monitor.cli.app import app, main

__all__ = ["app", "bench", "config", "main", "recordings", "remote", "run", "setup"]
