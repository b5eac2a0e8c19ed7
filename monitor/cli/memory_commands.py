"""Commands over the memory: search, similar, replay; whether or not the monitor is running."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, OtherLabels, OtherModel, app
from monitor.cli.archives import Archive, EmptyMemoryError, SinceOrAll, begin_of, open_archive, scanned
from monitor.cli.logs import say
from monitor.cli.options import Overrides, settings_from
from monitor.cli.recordings import as_line
from monitor.types import ConfigError, NotAudioError

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.detection.engine import Engine
    from monitor.detection.prototypes import Directions
    from monitor.memory.memory_reader import MemoryReader
    from monitor.memory.replay_diff import Difference, Firing
    from monitor.memory.search import Moment
    from monitor.outputs.store import StoreReader
    from monitor.outputs.store.rows import StoredEvent

Since = Annotated[
    str, typer.Option("--since", help="Start: 30m, 12h or 7d ago, or a date such as 2026-11-30T18:00.")
]
OneSource = Annotated[str | None, typer.Option("--source", "-s", help="Source to look at. Default: all.")]
Top = Annotated[int, typer.Option("--top", min=1, max=1000, help="Number of results.")]

_HOUR = 3_600.0

_SHOWN = ("event_id", "label", "label_name", "started_at", "ended_at", "peak_score", "clip", "review")
"""Fields of an event beside a moment."""

_EVENT_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


@app.command()
def search(
    text: Annotated[str, typer.Argument(metavar="SENTENCE", help="Description of a sound.")],
    config: ConfigFile = None,
    since: SinceOrAll = None,
    source: OneSource = None,
    top: Top = 20,
    model: OtherModel = None,
    archive: Archive = None,
    as_json: AsJson = False,
) -> None:
    """Find the moments of the past that a sentence describes best, with their events and clips.

    FIT is how far the best window of a moment stands out, in standard deviations over all kinds of sound.
    """
    from monitor.detection.prototypes import Directions

    settings, engine, reader = _opened(config, model, archive)
    vectors = engine.model.embed_text([text])
    engine.model.forget_text()
    direction = Directions.of(vectors, engine.cohort_norm)
    _print_moments(
        settings, reader, _found(reader, direction, source, begin_of(since, archive), top), as_json=as_json
    )


@app.command()
def similar(
    sound: Annotated[str, typer.Argument(metavar="EVENT|FILE", help="Id of an event, or a sound file.")],
    config: ConfigFile = None,
    since: SinceOrAll = None,
    source: OneSource = None,
    top: Top = 20,
    model: OtherModel = None,
    archive: Archive = None,
    as_json: AsJson = False,
) -> None:
    """Find the moments of the past that sound like an event, a clip or another sound file."""
    from monitor.memory.similar import direction_of, embeddings_between

    settings, engine, reader = _opened(config, model, archive)
    if _EVENT_ID.fullmatch(sound):
        event = _event(settings, sound)
        ended_at = event.ended_at or time.time()
        rows = embeddings_between(reader, event.source, event.started_at, ended_at)
        if rows is None:
            raise NotAudioError(
                f"event {sound}: the memory has no window of it any more, or not of this checkpoint"
            )
    else:
        from monitor.evaluation.file_embedding import loudest_window

        rows = loudest_window(engine.model, Path(sound), engine.length, engine.hop)
    direction = direction_of(rows, engine.cohort_norm)
    _print_moments(
        settings, reader, _found(reader, direction, source, begin_of(since, archive), top), as_json=as_json
    )


@app.command()
def replay(
    config: ConfigFile = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Configuration file with the labels to try. Default: those in force."),
    ] = None,
    label: OtherLabels = None,
    as_recorded: Annotated[
        bool, typer.Option("--as-recorded", help="Use the labels that were in force at each moment.")
    ] = False,
    since: SinceOrAll = None,
    source: OneSource = None,
    model: OtherModel = None,
    archive: Archive = None,
    as_json: AsJson = False,
) -> None:
    """Show which events other labels would have started in the past, beside those that did start.

    `+` would be new, `-` would be gone, `=` is in both.
    """
    from monitor.detection.active_labels import restore_settings
    from monitor.memory.replay_diff import compare
    from monitor.memory.would_fire import watchlist_at, would_fire

    settings, engine, reader = _opened(config, model, archive)
    if as_recorded and archive is not None:
        raise typer.BadParameter("--as-recorded needs the memory: a scan has one set of labels")
    begin = begin_of(since, archive)
    tried = _with_labels(settings, labels, tuple(label or ()))
    in_force = restore_settings(tried, settings.state if tried is settings else None).active_labels
    prototypes = None if as_recorded else engine.build_prototypes(in_force.enabled, in_force.background)
    would: list[Firing] = []
    for name in sources_of(reader, source):
        watchlist = None if prototypes is None else watchlist_at(name, tried, engine, in_force, prototypes)
        would += would_fire(reader, engine, name, watchlist, since=begin)
    fired = _fired(settings, begin, source) if archive is None else scanned(reader, begin, source)
    _print_differences(compare(would, fired), as_json=as_json)


def _opened(
    path: Path | None, model: str | None, archive: Path | None
) -> tuple[Config, Engine, MemoryReader]:
    settings = settings_from(path, Overrides(model=model))
    return settings, *open_memory(settings, archive)


def open_memory(settings: Config, archive: Path | None = None) -> tuple[Engine, MemoryReader]:
    """Load the checkpoint with one thread, and open its memory, or its embeddings of an archive.

    Raises
    ------
    MonitorError
        Nothing is remembered, or the checkpoint cannot be loaded.
    """
    from monitor.evaluation.qualified_engine import load_qualified_engine
    from monitor.memory.memory_reader import MemoryReader
    from monitor.system.cpu import give_way

    if archive is None and not settings.memory.enabled:
        raise ConfigError("memory.enabled: is false, so that nothing is remembered; set it to true")
    give_way()  # to a monitor that runs beside this
    model_settings = settings.model.model_copy(update={"threads": 1})
    engine = load_qualified_engine(settings.model_copy(update={"model": model_settings}), apart=False)
    if archive is not None:
        return open_archive(archive, engine)
    reader = MemoryReader(settings.state, engine.model.identity)
    if not reader.sources:
        others = " of this checkpoint, only of another one" if reader.others else ""
        raise EmptyMemoryError(f"{reader.directory}: nothing is remembered yet{others}")
    return engine, reader


def _with_labels(settings: Config, file: Path | None, texts: Sequence[str]) -> Config:
    """Return the configuration with the labels of a file, or of these prompts."""
    from monitor.config import load, replace_labels

    if file is not None and texts:
        raise typer.BadParameter("give --labels or --label, not both")
    if file is not None:
        other = load(file)
        return settings.model_copy(update={"labels": other.labels, "background": other.background})
    return replace_labels(settings, list(texts)) if texts else settings


def sources_of(reader: MemoryReader, source: str | None) -> tuple[str, ...]:
    """Return the sources to look at: one that was asked for, or all."""
    if source is not None and source not in reader.sources:
        raise ConfigError(
            f"--source: nothing is remembered of {source!r}; only of {', '.join(reader.sources)}"
        )
    return reader.sources if source is None else (source,)


def _found(
    reader: MemoryReader, direction: Directions, source: str | None, begin: float, top: int
) -> list[Moment]:
    from monitor.cli.console.memory_view import clock
    from monitor.memory.search import search as search_memory

    found: list[Moment] = []
    for name in sources_of(reader, source):
        span = reader.span(name)
        if span is not None and 0 < begin < span.since - _HOUR:
            say(f"{name}: remembered since {clock(span.since)}")
        for since, until in reader.periods(name, begin):
            found += search_memory(reader, direction, [name], since=since, until=until, top=top)
    return sorted(found, key=lambda moment: -moment.fit)[:top]


def _print_moments(
    settings: Config, reader: MemoryReader, moments: Sequence[Moment], *, as_json: bool
) -> None:
    from monitor.cli.console.memory_view import moment_line

    store = _store(settings)
    for found in moments:
        stretch = found.source, found.started_at, found.ended_at
        place = reader.place(found.source, found.started_at)
        if place is not None:
            file, seconds = place
            more = {"file": file, "onset_seconds": round(seconds, 3)}
            beside = [(f"{file} at {seconds:.1f} s",)]
            print(as_line({**asdict(found), **more}) if as_json else moment_line(found, beside))
            continue
        near = () if store is None else store.overlapping(*stretch)
        if as_json:
            told = [{key: getattr(event, key) for key in _SHOWN} for event in near]
            print(as_line({**asdict(found), "events": told}))
        else:
            print(moment_line(found, [(event.label_name, event.event_id, event.clip) for event in near]))


def _print_differences(differences: Sequence[Difference], *, as_json: bool) -> None:
    from monitor.cli.console.memory_view import difference_line, summary_lines

    for each in differences:
        print(as_line({"outcome": each.outcome, **asdict(each.firing)}) if as_json else difference_line(each))
    if not as_json:
        print("\n".join(summary_lines(differences)))


def _fired(settings: Config, since: float, source: str | None) -> list[Firing]:
    """Return the events that did start, if they are stored."""
    from monitor.outputs.store import EventFilter
    from monitor.outputs.store.firings import stored_firings

    store = _store(settings)
    wanted = EventFilter(since=since, sources=() if source is None else (source,))
    return [] if store is None else list(stored_firings(store, wanted))


def _event(settings: Config, event_id: str) -> StoredEvent:
    store = _store(settings)
    found = None if store is None else store.event(event_id)
    if found is None:
        raise NotAudioError(f"there is no event {event_id}, and no such file")
    return found


def _store(settings: Config) -> StoreReader | None:
    """Return the reader of the store; None if nothing was ever stored."""
    from monitor.outputs.store import FILE, StoreReader

    path = settings.state / FILE
    return StoreReader(path) if path.exists() else None
