"""Command line: shared options, error messages and exit codes."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from monitor import __version__
from monitor.cli.logs import discard_unwritable_streams, log_to_stderr, open_closed_streams, say
from monitor.types import ExitCode, MonitorError

app = typer.Typer(
    name="clap-monitor",
    help="Detect any sound that a text prompt can describe, and report it over MQTT.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

labels_app = typer.Typer(
    help="Labels: the sounds that are detected.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(labels_app, name="labels")

fleet_app = typer.Typer(rich_markup_mode=None)
app.add_typer(fleet_app, name="fleet")
fleet_labels_app = typer.Typer(
    help="Labels of all nodes that follow them.", no_args_is_help=True, rich_markup_mode=None
)
fleet_app.add_typer(fleet_labels_app, name="labels")

Model = Annotated[
    str, typer.Option("--model", "-m", help="Checkpoint: `starter`, a directory, or an id on the hub.")
]
OtherModel = Annotated[
    str | None, typer.Option("--model", "-m", help="Checkpoint to use instead of the configured one.")
]
OtherLabels = Annotated[
    list[str] | None,
    typer.Option("--label", "-l", help="Label to use instead of the configured ones: a prompt; repeatable."),
]
LabelName = Annotated[str, typer.Argument(metavar="LABEL", help="Identifier of the label.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line, on standard output.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="CLAP_MONITOR_CONFIG", help="Configuration file. Default: built-in defaults."
    ),
]


def main() -> None:
    """Run the command line; an error that the user can fix is one line and an exit code."""
    open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may not be valid text, and labels may not fit the encoding of the terminal.
        sys.stdout.reconfigure(errors="replace")
    log_to_stderr("warning")
    try:
        app(args=with_empty_web(sys.argv[1:]))
    except MonitorError as error:
        # A configuration error begins with the path and the line.
        prefix = "" if error.exit_code == ExitCode.CONFIGURATION else "clap-monitor: "
        say(f"{prefix}{error}", logging.ERROR)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(0)
    except OSError as error:
        if _can_print():
            raise
        say(f"clap-monitor: cannot write to standard output: {error.strerror}", logging.ERROR)
        sys.exit(ExitCode.OUTPUT)
    finally:
        discard_unwritable_streams()


def _can_print() -> bool:
    try:
        print(flush=True)
    except OSError:
        return False
    return True


def with_empty_web(arguments: list[str]) -> list[str]:
    """Give ``--web`` an empty value where it has none; typer has no optional values."""
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
