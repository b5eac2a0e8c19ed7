"""Command that sets thresholds from a desired rate of false alarms: thresholds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, app
from monitor.cli.archives import Archive, SinceOrAll, begin_of
from monitor.cli.logs import say
from monitor.cli.memory_commands import OneSource, open_memory, sources_of
from monitor.cli.options import Overrides, settings_from
from monitor.cli.periods import seconds_of
from monitor.cli.recordings import as_line
from monitor.cli.remote import StateDirectory
from monitor.types import ConfigError, ExitCode, MonitorError

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.detection.active_labels import ActiveLabels
    from monitor.detection.alarm_advice import Advice


class NoThresholdError(MonitorError):
    """No threshold could be found from the sounds of the past."""

    exit_code = ExitCode.DATA


@app.command()
def thresholds(
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help="Desired rate of false alarms, such as 0.5/day or 2/week. Default: target of each label.",
        ),
    ] = None,
    config: ConfigFile = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="Id of a label; repeatable. Default: all.")
    ] = None,
    source: OneSource = None,
    since: SinceOrAll = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", help="Listen for this long, such as 1h, and use those sounds."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Recording to use instead of the memory.")
    ] = None,
    archive: Archive = None,
    apply: Annotated[bool, typer.Option("--apply", help="Put the thresholds in force.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last --apply.")] = False,
    state: StateDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Show the thresholds for the rate of false alarms that you accept, from the sounds of the past.

    Each is graded: `measured`; known to `about a factor of 2`; or `extrapolated`.  If the past is too short,
    it says why and how long to wait.  Mark events as right on the page first: they are not false
    alarms, and the command says how many of them a threshold would miss.
    """
    from monitor.daemon.threshold_command import apply_now, undo_now
    from monitor.detection.active_labels import restore_settings

    settings = settings_from(config, Overrides(state=state))
    if undo:
        live = undo_now(settings)
        print(f"the thresholds before the last --apply hold again{_when(live=live)}")
        return
    if file is not None and listen is not None:
        raise typer.BadParameter("give --file or --listen, not both")
    if archive is not None and (apply or file is not None or listen is not None):
        raise typer.BadParameter(
            "--archive only shows thresholds: give it without --apply, --file and --listen"
        )
    active = restore_settings(settings, settings.state).active_labels
    wished = _wished(active, target, tuple(label or ()))
    if file is not None:
        found = _from_file(settings, active, file, source, wished)
    else:
        begin = begin_of(since, archive) if listen is None else _listened(listen)
        found = _from_memory(settings, active, source, begin, wished, archive=archive)
    to_set: dict[str, dict[str, float]] = {}
    shown = 0
    for advice in found:
        _print(active, advice, as_json=as_json)
        if advice.threshold is not None and advice.source in active.sources:
            to_set.setdefault(advice.source, {})[advice.label] = advice.threshold
        shown += advice.threshold is not None and (archive is not None or advice.source in active.sources)
    if not shown:
        raise NoThresholdError("no threshold could be found from the sounds of the past")
    if apply:
        live = apply_now(settings, to_set)
        say(f"these thresholds apply{_when(live=live)}; clap-monitor thresholds --undo restores the old ones")


def _when(*, live: bool) -> str:
    return " from now on" if live else " from the next start on"


def _wished(active: ActiveLabels, target: str | None, labels: Sequence[str]) -> dict[str, str]:
    """Return the target of each label that is asked for."""
    from monitor.config.alarm_target import target_text

    chosen = [active.find(id_) for id_ in labels] if labels else list(active.enabled)
    if target is None:
        wished = {label.id: label.target for label in chosen if label.target is not None}
        if not wished:
            raise typer.BadParameter("give --target, such as 0.5/day: none of the labels has a target")
        return wished
    try:
        return dict.fromkeys((label.id for label in chosen), target_text(target))
    except ValueError as error:
        raise typer.BadParameter(f"--target: {target[:30]!r} {error}") from error


def _listened(text: str) -> float:
    """Wait, until Ctrl-C at most; return the Unix seconds of the beginning."""
    seconds, begin = seconds_of(text), time.time()
    say(f"listening for {text}; Ctrl-C ends it early")
    with suppress(KeyboardInterrupt):
        time.sleep(seconds)
    return begin


def _from_memory(
    settings: Config,
    active: ActiveLabels,
    source: str | None,
    since: float,
    wished: Mapping[str, str],
    *,
    archive: Path | None,
) -> Iterator[Advice]:
    from monitor.detection.alarm_advice import advise
    from monitor.memory.heard_labels import heard_labels
    from monitor.memory.would_fire import watchlist_at
    from monitor.outputs.store.right_events import right_events

    engine, reader = open_memory(settings, archive)
    labels = [label for label in active.enabled if label.id in wished]
    prototypes = engine.build_prototypes(labels, active.background)
    for name in sources_of(reader, source):
        every = watchlist_at(name, settings, engine, active, prototypes).rules
        rules = [rule for rule in every if rule.label in wished]
        heard = heard_labels(reader.chunks(name, since), prototypes, rules, engine.calibration)
        right = {} if archive is not None else right_events(settings.state, name, since)
        yield from advise(name, heard, wished, right, engine.length / engine.rate)


def _from_file(
    settings: Config, active: ActiveLabels, path: Path, source: str | None, wished: Mapping[str, str]
) -> Iterator[Advice]:
    """Yield what a recording says for a source, or for all of them."""
    from monitor.detection.alarm_advice import advise
    from monitor.detection.rules import rule_of
    from monitor.evaluation.qualified_engine import load_qualified_engine
    from monitor.evaluation.recorded_labels import recorded_labels

    if source is not None and source not in active.sources:
        raise ConfigError(f"--source: there is no {source!r}; the sources are {', '.join(active.sources)}")
    labels = tuple(label for label in active.enabled if label.id in wished)
    config = settings.model_copy(update={"labels": labels})
    engine = load_qualified_engine(config)
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in labels]
    heard = recorded_labels(path, config, engine, rules)
    for name in active.sources if source is None else (source,):
        detected = {id_: each for id_, each in heard.items() if active.detects(name, id_)}
        yield from advise(name, detected, wished, {}, engine.length / engine.rate)


def _print(active: ActiveLabels, advice: Advice, *, as_json: bool) -> None:
    from monitor.cli.console.threshold_view import advice_line

    configured = advice.source in active.sources
    now = active.label(advice.source, advice.label).threshold if configured else None
    if not as_json:
        print(advice_line(advice, now))
        return
    known = asdict(advice)
    print(as_line({"now": now, **known.pop("found"), **known}))
