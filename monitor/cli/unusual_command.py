"""Command that finds unusual sounds in the memory: unusual."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, app
from monitor.cli.logs import say
from monitor.cli.memory_commands import OneSource, Since, open_memory, sources_of
from monitor.cli.options import Overrides, settings_from
from monitor.cli.periods import moment
from monitor.cli.recordings import as_line
from monitor.types import ExitCode, MonitorError

if TYPE_CHECKING:
    from monitor.detection.nearest_neighbours import Whiten
    from monitor.memory.memory_reader import MemoryReader
    from monitor.memory.unusual_windows import UnusualMoment


class TooLittleError(MonitorError):
    """Too little is remembered to know what is usual."""

    exit_code = ExitCode.DATA


@app.command()
def unusual(
    config: ConfigFile = None,
    target: Annotated[
        str, typer.Option("--target", "-t", help="Desired rate in an ordinary room, such as 1/day.")
    ] = "1/day",
    source: OneSource = None,
    since: Since = "1d",
    as_json: AsJson = False,
) -> None:
    """Find sounds unlike anything that a source had at that time of day in the last week, without any label.

    Each is described by the three nearest sentences of a built-in vocabulary.  The memory must reach back two
    days before the start.  Takes about a minute for a day.
    """
    from monitor.config.alarm_target import parse_target
    from monitor.detection.nearest_neighbours import whitening
    from monitor.detection.prototypes import Directions
    from monitor.detection.vocabulary import nearest_sentences, vocabulary

    try:
        per_hour = parse_target(target)
    except ValueError as error:
        raise typer.BadParameter(f"--target: {target[:30]!r} {error}") from error
    begin = moment(since)
    engine, reader = open_memory(settings_from(config, Overrides()))
    sentences = vocabulary()
    directions = Directions.of(engine.model.embed_text(sentences), engine.cohort_norm)
    engine.model.forget_text()
    whiten = whitening(engine.cohort_norm)
    refused = []
    for name in sources_of(reader, source):
        found = _moments(reader, name, begin, per_hour, whiten)
        if isinstance(found, str):
            refused.append(f"{name}: {found}")
            continue
        for each in found:
            described = nearest_sentences(each.embedding, sentences, directions)
            print(_json(each, described) if as_json else _line(each, described))
        if not found:
            say(f"{name}: nothing unusual")
    if refused:
        raise TooLittleError("; ".join(refused))


def _moments(
    reader: MemoryReader, source: str, since: float, per_hour: float, whiten: Whiten
) -> list[UnusualMoment] | str:
    """Return the unusual moments of a source, or why nothing can be said."""
    from monitor.detection.alarm_rate import NoThreshold
    from monitor.detection.alarm_words import refusal
    from monitor.memory.unusual_windows import LEAST_SECONDS, unusual_distances

    span = reader.span(source)
    if span is None or since - span.since < LEAST_SECONDS:
        hours = 0.0 if span is None else max(0.0, since - span.since) / 3600
        return f"two days must be remembered before --since, to know what is usual; there are {hours:.3g} h"
    found = unusual_distances(reader, source, since, time.time(), whiten)
    if found is None:
        return "nothing was heard in that time"
    threshold = found.threshold(per_hour)
    return refusal(threshold) if isinstance(threshold, NoThreshold) else found.moments(threshold.threshold)


def _json(found: UnusualMoment, described: list[str]) -> str:
    known = {
        "source": found.source,
        "started_at": found.started_at,
        "ended_at": found.ended_at,
        "peak_at": found.peak_at,
        "distance": round(found.distance, 4),
        "like": described,
    }
    return as_line(known)


def _line(found: UnusualMoment, described: list[str]) -> str:
    from monitor.cli.console.memory_view import clock

    like = "; ".join(described)
    return f"{clock(found.peak_at)}  {found.source:<16}  distance {found.distance:.2f}  like: {like}"
