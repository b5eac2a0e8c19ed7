"""Commands: each parses its options, calls one function and prints the result.

Heavy packages are imported inside the commands that need them, so that ``--help`` and ``check`` start in well
under a second, without torch or PortAudio.
"""

<<<<<<< HEAD
from monitor.cli import run, remote, config, learn, recordings, memory, setup, qualify, bench  # noqa: I001 - the order of --help
=======
from monitor.cli import run, remote, config, recordings, memory, setup, keeping, qualify, bench  # noqa: I001 - the order of --help
>>>>>>> f806d68 (feat: backup, restore and support; the state directory has a version)
from monitor.cli.app import app, main

__all__ = [
    "app",
    "bench",
    "config",
<<<<<<< HEAD
    "learn",
=======
    "keeping",
>>>>>>> f806d68 (feat: backup, restore and support; the state directory has a version)
    "main",
    "memory",
    "qualify",
    "recordings",
    "remote",
    "run",
    "setup",
]
