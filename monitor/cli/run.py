"""Commands about listening: run, doctor, devices."""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, OtherModel, app
from monitor.cli.console import report
from monitor.cli.logs import log_to_stderr
from monitor.cli.options import settings_from


@app.command()
def run(
    config: ConfigFile = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            "-s",
            help="Instead of the configured sources: a sound file, the address of a stream, part of a "
            "microphone's name, its index, or `-` for raw samples on standard input.",
        ),
    ] = None,
    model: OtherModel = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", help="Instead of the configured labels: a sentence, also its name."),
    ] = None,
    as_json: AsJson = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Replay sound files as fast as the model goes.")
    ] = False,
    rate: Annotated[int | None, typer.Option(help="Of raw samples: Hz.")] = None,
    sample_format: Annotated[
        str | None, typer.Option("--format", help="Of raw samples: s16le, s24le, s32le, f32le or u8.")
    ] = None,
    channels: Annotated[int | None, typer.Option(help="Of raw samples.")] = None,
    web: Annotated[
        str | None,
        typer.Option(
            "--web", metavar="[HOST:PORT]", help="Serve the page, where it is configured or at this address."
        ),
    ] = None,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log one JSON object a line, on standard error.")
    ] = False,
) -> None:
    """Listen, and report events until the sources end or a signal comes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the daemon takes it over
    if config is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it has just been read
    log_to_stderr("warning", as_json=log_json)
    raw = (rate, sample_format, channels)
    reread = partial(settings_from, config, source, model, label, fast=fast, raw=raw, web=web)
    settings = reread()
    log_to_stderr(settings.log_level, as_json=log_json)
    from monitor.daemon.preflight import check as check_before

    check_before(settings, required=bool(source))
    from monitor.daemon.daemon import Daemon
    from monitor.outputs.stdout import JsonLines, StdoutWriter, TextLines

    daemon = Daemon(
        settings,
        required=bool(source),
        reread=None if config is None else reread,
        keeps=not label,  # what was changed of configured labels says nothing of others
    )
    engine = daemon.parts.engine
    recordings = frozenset(source.name for source in settings.sources if source.kind == "file")
    line = (
        JsonLines(settings.node, engine.model.name, recordings, engine.rate)
        if as_json
        else TextLines(recordings, engine.rate)
    )
    # Who replays recordings into `head` wants no more of them; a live monitor goes on for all other outputs.
    live = any(source.live for source in settings.enabled_sources)
    terminal = StdoutWriter(sys.stdout, line, on_gone=(lambda: None) if live else daemon.stop)
    report(daemon.run(terminal))


@app.command()
def doctor(
    config: ConfigFile = None,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=60, help="How long to listen to each microphone or stream.")
    ] = 3.0,
    as_json: AsJson = False,
) -> None:
    """Try everything that `run` needs, one line each; the first failure is the exit code.

    Nothing is changed, and nothing is retained at the broker.  A running clap-monitor may hold the
    microphone: stop it before.
    """
    log_to_stderr("error")
    from monitor.cli.doctor import examine, verdict

    findings = []
    for finding in examine(config, listen_seconds=seconds):
        findings.append(finding)
        print(finding.as_json() if as_json else finding.as_text(), flush=True)
    if not as_json:
        print(verdict(findings))
    raise typer.Exit(next((finding.exit_code for finding in findings if finding.exit_code), 0))


@app.command()
def devices() -> None:
    """List the microphones."""
    from monitor.audio.sources.portaudio import library

    found = library.devices()
    for device in found:
        mark = "*" if device.default else " "
        print(
            f"{mark} {device.index:>3}  {device.name}  ({device.channels} channels, {device.rate:g} Hz, "
            f"{device.host_api})"
        )
    if not found:
        print("no microphone found: is one connected, and is this user in the group `audio`?")
