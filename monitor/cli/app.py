"""The command line itself: its options, what it says of errors, how it ends."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from monitor import __version__
from monitor.cli.logs import let_go_of_streams, log_to_stderr, open_what_is_closed, say
from monitor.types import MonitorError, OutputError

app = typer.Typer(
    name="clap-monitor",
    help="Listen for any sound that a sentence can describe, and tell the house over MQTT.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Model = Annotated[
    str, typer.Option("--model", "-m", help="`starter`, a directory, or the id of a checkpoint on the hub.")
]
OtherModel = Annotated[
    str | None, typer.Option("--model", "-m", help="Instead of the configured checkpoint.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, on standard output.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="CLAP_MONITOR_CONFIG", help="Without it, the defaults hold."),
]


def main() -> None:
    """Run the command line; every error that a person can put right is one line and an exit code."""
    open_what_is_closed()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold bytes that are no text, a label what the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="replace")
    log_to_stderr("warning")
    try:
        app(args=with_values(sys.argv[1:]))
    except MonitorError as error:
        prefix = "" if error.exit_code == 78 else "clap-monitor: "  # noqa: PLR2004 - EX_CONFIG: path:line stands first
        say(f"{prefix}{error}", logging.ERROR)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(0)
    except OSError as error:
        if _can_print():
            raise
        say(f"clap-monitor: standard output cannot be written: {error.strerror}", logging.ERROR)
        sys.exit(OutputError.exit_code)
    finally:
        let_go_of_streams()


def _can_print() -> bool:
    """Tell whether standard output takes another line."""
    try:
        print(flush=True)
    except OSError:
        return False
    return True


def with_values(arguments: list[str]) -> list[str]:
    """Give ``--web`` the empty value where it has none, which typer cannot."""
    following = [*arguments[1:], "-"]
    return [
        "--web=" if argument == "--web" and after.startswith("-") else argument
        for argument, after in zip(arguments, following, strict=True)
    ]


@app.callback(invoke_without_command=True)
def _version(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False
) -> None:
    if version:
        print(f"clap-monitor {__version__}")
        raise typer.Exit
