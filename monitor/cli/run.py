"""Commands that detect sounds, and that check what detection needs: run, doctor, devices."""

from __future__ import annotations

import logging
import os
import signal
import sys
from functools import partial
from typing import Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, OtherLabels, OtherModel, app
from monitor.cli.console import report
from monitor.cli.logs import log_to_stderr, say
from monitor.cli.options import Overrides, settings_from


@app.command()
def run(
    config: ConfigFile = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            "-s",
            help="Source to use instead of the configured ones: a sound file, the URL of a stream, part "
            "of the name of a microphone, its index, or `-` for raw samples on standard input; repeatable.",
        ),
    ] = None,
    model: OtherModel = None,
    label: OtherLabels = None,
    as_json: AsJson = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Replay sound files as fast as the model can score.")
    ] = False,
    rate: Annotated[int | None, typer.Option(help="Sample rate of raw samples, in Hz.")] = None,
    sample_format: Annotated[
        str | None, typer.Option("--format", help="Format of raw samples: s16le, s24le, s32le, f32le or u8.")
    ] = None,
    channels: Annotated[int | None, typer.Option(help="Number of channels of raw samples.")] = None,
    web: Annotated[
        str | None,
        typer.Option(
            "--web", metavar="[HOST:PORT]", help="Serve the page, at the configured address or at this one."
        ),
    ] = None,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log JSON, one object per line, on standard error.")
    ] = False,
    init: Annotated[
        bool,
        typer.Option(
            "--init",
            help="If the configuration does not exist, write it first, with the page for other machines and "
            "a token beside it.",
        ),
    ] = False,
) -> None:
    """Detect sounds and report events until all sources have ended or a signal arrives."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the daemon handles it
    if config is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the configuration has just been read
    log_to_stderr("warning", as_json=log_json)
    if init and config is not None:
        from monitor.cli.first_start import TOKEN, write_first

        if write_first(config):
            say(
                f"{config}: written; the page asks for the token in {config.with_name(TOKEN)}",
                logging.WARNING,
            )
    overrides = Overrides(
        model=model,
        labels=tuple(label or ()),
        sources=tuple(source or ()),
        rate=rate,
        sample_format=sample_format,
        channels=channels,
        fast=fast,
        web=web,
    )
    from monitor.config import needs_set_up

    if config is not None and not source and needs_set_up(config, web):
        from monitor.daemon.first_run import set_up

        log_to_stderr("info", as_json=log_json)
        set_up(config, web)
    reread = partial(settings_from, config, overrides)
    settings = reread()
    log_to_stderr(settings.log_level, as_json=log_json)
    from monitor.daemon.preflight import check as check_before

    check_before(settings, required=bool(source))
    from monitor.daemon.build import build
    from monitor.daemon.daemon import Daemon
    from monitor.outputs.stdout import StdoutWriter, json_line, text_line

    # Run-time changes of configured labels do not apply to others.
    parts = build(settings, reread=None if config is None else reread, keeps=not label)
    # Home Assistant's app makes its file anew at each start, from its panel.
    file = None if source or settings.web.ingress else config
    daemon, engine = Daemon(parts, required=bool(source), file=file), parts.engine
    rates = {source.name: engine.rate for source in settings.sources if source.kind == "file"}
    line = partial(text_line, rates=rates)
    if as_json:
        line = partial(json_line, node=settings.node, model=engine.model.name, rates=rates)
    # A replay into `head` stops with it; a live monitor goes on for its other outputs.
    live = any(source.live for source in settings.enabled_sources)
    terminal = StdoutWriter(sys.stdout, line, on_gone=(lambda: None) if live else daemon.stop)
    report(daemon.run(terminal))
    if daemon.restarts:
        # A new process image: nothing of this run, its threads or its libraries reaches into the next one.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same command


@app.command()
def doctor(
    config: ConfigFile = None,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=60, help="Seconds to record from each microphone or stream.")
    ] = 3.0,
    as_json: AsJson = False,
) -> None:
    """Check everything that `run` needs, one line per check; the first failure sets the exit code.

    It changes nothing, and leaves no retained message at the broker.  A running clap-monitor may hold the
    microphone; stop it first.
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
    """List all microphones; * marks the default."""
    from monitor.audio.sources.portaudio import library

    found = library.devices()
    for device in found:
        mark = "*" if device.default else " "
        print(
            f"{mark} {device.index:>3}  {device.name}  ({device.channels} channels, {device.rate:g} Hz, "
            f"{device.host_api})"
        )
    if not found:
        print("no microphone found; connect one, and add this user to the group `audio`")
