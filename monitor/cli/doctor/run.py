"""Doctor run: all checks, in the order of the audio path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monitor.config import Config, load, warnings
from monitor.daemon.checks.finding import Finding, failure, good, warning
from monitor.types import ConfigError, ExitCode, ModelError


def examine(path: Path | None, *, listen_seconds: float = 3.0) -> Iterator[Finding]:
    """Check everything that a run needs; yield each finding as soon as it is known.

    ``listen_seconds`` are recorded from each microphone or stream; without a path, the defaults are checked.
    """
    # Imported when needed: the first checks use neither PortAudio nor torch.
    from monitor.cli.doctor import machine
    from monitor.daemon.preflight import check_named

    try:
        config = Config() if path is None else load(path)
        check_named(config)
    except ConfigError as error:
        for fault in str(error).splitlines():
            yield failure("configuration", fault, ExitCode.CONFIGURATION)
        yield machine.permissions()
        yield machine.clock()
        yield warning("other checks", "skipped: fix the configuration first")
        return
    yield from configuration(path, config)
    if any(source.kind == "microphone" for source in config.enabled_sources):
        yield machine.permissions()
    from monitor.daemon.checks import source_checks

    for source in config.enabled_sources:
        yield from source_checks.source(source, seconds=listen_seconds, silence_dbfs=config.silence_dbfs)
    from monitor.cli.doctor import model

    yield from model.model(config)
    yield machine.directory("state", config.state, megabytes=machine.STATE_MEGABYTES)
    yield from files(config)
    if config.clips.enabled:
        yield machine.directory("recordings", config.recordings, megabytes=config.clips.max_megabytes)
    yield machine.clock()
    from monitor.daemon.checks import broker

    yield from broker.broker(config.mqtt, node=config.node)


def files(config: Config) -> Iterator[Finding]:
    """Check the database files of the state directory, and who else can read the directories."""
    from monitor.cli.doctor import machine
    from monitor.outputs.store import FILE

    wanted = {FILE: config.store.enabled, "outbox.sqlite": config.mqtt.host is not None}
    found = [machine.database("state", config.state / name) for name, used in wanted.items() if used]
    open_to_others = [machine.others_may_read("state", config.state)]
    if config.clips.enabled and config.clips.readable_by == "owner":
        open_to_others.append(machine.others_may_read("recordings", config.recordings))
    found += [finding for finding in open_to_others if finding is not None]
    yield from (finding for finding in found if finding.state != "ok")


def configuration(path: Path | None, config: Config) -> Iterator[Finding]:
    """Check that sources and labels are enabled, and pass on the warnings about them."""
    from monitor.model.hub import usual_window_seconds

    name = "defaults (no file given)" if path is None else f"{path.absolute()}"
    enabled = sum(label.enabled for label in config.labels)
    if not config.enabled_sources:
        yield failure("configuration", f"{name}: no source is enabled", ExitCode.CONFIGURATION, "enable one")
        return
    if not enabled:
        yield failure("configuration", f"{name}: no label is enabled", ExitCode.CONFIGURATION, "enable one")
        return
    try:
        window = config.window.seconds or usual_window_seconds(config.model.checkpoint, config.model.revision)
        notes = warnings(config, window_seconds=window)
    except (ModelError, ConfigError):  # reported by the check of the model
        notes = []
    yield good("configuration", f"{name}: {enabled} labels, {len(config.enabled_sources)} sources")
    for note in notes:
        yield warning("configuration", note)
