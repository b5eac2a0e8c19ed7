"""Commands about the configuration: check, schema, init, notify."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import ConfigFile, app
from monitor.types import ConfigError, ExitCode, OutputError

DEFAULT_CONFIG = Path("config/monitor.yaml")


@app.command()
def check(
    path: Annotated[Path | None, typer.Argument(help="[default: config/monitor.yaml]")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Same as PATH.")] = None,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also load the text encoder and compare the prompts."),
    ] = False,
) -> None:
    """Check a configuration: one line per error, exit code 78; warnings alone exit with 0."""
    from monitor.config import load, warnings
    from monitor.model.hub import usual_window_seconds

    target = path or config or DEFAULT_CONFIG
    settings = load(target)
    window = settings.window.seconds or usual_window_seconds(
        settings.model.checkpoint, settings.model.revision
    )
    notes = warnings(settings, window_seconds=window)
    if deep:
        from monitor.evaluation.prompt_lint import too_close

        notes += too_close(settings)
    for note in notes:
        print(f"{target}: warning: {note}", file=sys.stderr)
    enabled = sum(label.enabled for label in settings.labels)
    print(f"{target}: good: {enabled} labels, {len(settings.enabled_sources)} sources, {len(notes)} warnings")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from monitor.config import json_schema

    print(json.dumps(json_schema(), indent=2))


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write; `-` prints it.")] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write the commented example configuration, which equals the defaults."""
    from monitor.config import example

    if str(path) == "-":
        print(example(), end="")
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(example())
    except FileExistsError as error:
        raise OutputError(f"{path}: already exists; --force overwrites it") from error
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from error
    print(f"{path}: written; edit it, then `clap-monitor check {path}`")


@app.command()
def notify(config: ConfigFile = None) -> None:
    """Send a test message to every notification target; exit code 75 if one cannot be sent."""
    from monitor.config import Config, load
    from monitor.daemon.preflight import check_alerts
    from monitor.outputs.notify.targets import try_targets

    settings = Config() if config is None else load(config)
    if not settings.notify:
        raise ConfigError("notify: no target is configured")
    check_alerts(settings)
    failed = False
    for name, trouble in try_targets(settings):
        failed = failed or trouble is not None
        print(f"{name}: {trouble or 'sent'}", flush=True)
    raise typer.Exit(ExitCode.TEMPORARY if failed else 0)
