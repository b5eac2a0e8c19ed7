"""Scan of one recording: the windows, scores and events of `clap-monitor run --fast`, as files of results."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, BinaryIO

from monitor.archive.embeddings_file import EmbeddingsWriter
from monitor.archive.recording_list import Recording
from monitor.archive.report_row import report_row, source_of
from monitor.archive.results import Draft
from monitor.archive.start_times import StartTime, start_time
from monitor.archive.tables import (
    EMBEDDINGS_TABLE,
    EVENTS,
    EVENTS_TABLE,
    FAILED,
    FILES,
    FILES_TABLE,
    PARTLY,
    TABLES,
    WHOLE,
    Origin,
    write_rows,
)
from monitor.archive.wave_header import claimed_seconds
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources import SourceContext
from monitor.audio.sources.ffmpeg import open_recording, read_metadata
from monitor.audio.windows import Windows
from monitor.config import Config, LabelConfig
from monitor.detection.engine import Engine
from monitor.detection.events import Detector
from monitor.detection.pipeline import run_analysis
from monitor.detection.rules import rule_of
from monitor.detection.scorer import Scorer
from monitor.evaluation.replay import analysis_of
from monitor.memory.entries import entry_of, entry_of_break
from monitor.memory.segment import Entry, Header
from monitor.outputs.payload import event_payload, seconds_in_source
from monitor.system.boundary import boundary, printable
from monitor.types import AudioBlock, Break, Event, Scores, SourceError, Window

_TELL_SECONDS = 1.0
"""Between two reports of progress."""

_SHORT_SECONDS, _SHORT_SHARE = 2.0, 0.01
"""A recording shorter than its header claims by less than this is not damaged."""

Tell = Callable[[float, float], None]
"""Takes the seconds of audio read so far, and their share of the recording, 0 if it is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Scanner:
    """What every recording is scanned with."""

    config: Config
    engine: Engine
    origin: Origin
    zone: tzinfo | None = None
    """Of times in names that state none."""
    embeddings: bool = False
    """Whether to keep them."""
    taking_part: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    """Context within which windows of a recording come, so that a batch waits for them."""

    @property
    def header(self) -> Header:
        """What all windows have in common."""
        engine = self.engine
        return Header(engine.model.dimension, engine.rate, engine.length, engine.hop)


@dataclass(slots=True)
class _Heard:
    """What was heard in one recording."""

    start: StartTime | None = None
    claimed: float | None = None
    """Seconds that the header claims, of a format that states its length."""
    errors: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def scan_part(
    recording: Recording, scanner: Scanner, drafts: Path, tell: Tell = lambda _seconds, _share: None
) -> Draft:
    """Scan one recording, and write its files; one that cannot be read has its reason in them.

    Parameters
    ----------
    recording : Recording
    scanner : Scanner
    drafts : Path
        Folder for the files.
    tell : callable
    """
    status, heard = SourceStatus("recording"), _Heard()
    tables = {table: drafts / f"{recording.part}.{table}" for table in TABLES}
    file, source = recording.file, source_of(recording)
    if scanner.embeddings:
        with EmbeddingsWriter(
            tables[EMBEDDINGS_TABLE], scanner.header, scanner.origin, file, source
        ) as writer:
            _hear(recording, scanner, status, heard, (writer.add, tell))
    else:
        _hear(recording, scanner, status, heard, (lambda _: None, tell))
    report = _report(recording, scanner, status, heard)
    labels = {label.id: label for label in scanner.config.labels}
    rows = [
        _event_row(event, labels[event.label], scanner.engine.rate) | {"file": file, "source": source}
        for event in sorted(heard.events, key=lambda event: (event.start, event.label))
    ]
    write_rows(tables[EVENTS_TABLE], EVENTS, rows, scanner.origin)
    write_rows(tables[FILES_TABLE], FILES, [report], scanner.origin)
    wanted = {
        EMBEDDINGS_TABLE: scanner.embeddings and status.captured > 0,
        EVENTS_TABLE: bool(rows),
        FILES_TABLE: True,
    }
    kept = {table: path for table, path in tables.items() if wanted[table]}
    return Draft(
        recording.part,
        report["outcome"] == FAILED,
        report["seconds"],
        len(rows),
        report["reason"],
        file,
        kept,
    )


def _hear(
    recording: Recording,
    scanner: Scanner,
    status: SourceStatus,
    heard: _Heard,
    out: tuple[Callable[[Entry], None], Tell],
) -> None:
    """Read a recording to its end, or as far as it can be read."""
    stop = threading.Event()
    try:
        with _closing(recording.open()) as sound:
            known = read_metadata(sound, recording.file)
            heard.start = start_time(
                recording.file,
                known.tags,
                zone=scanner.zone,
                modified_at=recording.modified_at,
                seconds=known.seconds,
            )
            with boundary(SourceError, recording.file):
                heard.claimed = claimed_seconds(sound)
            if heard.claimed is None and known.states_length:
                heard.claimed = known.seconds
            context = SourceContext(scanner.engine.rate, status, stop)
            blocks = _until_error(
                open_recording(sound, recording.file, heard.start.at, context), recording, heard.errors
            )
            analysis = analysis_of(blocks, scanner.config, scanner.engine, status, stop)
            with scanner.taking_part(), analysis as (windows, scorer):
                _analyse(windows, scorer, scanner, heard, out)
    except SourceError as error:
        heard.errors.append(_without(recording, error))


def _analyse(
    windows: Windows,
    scorer: Scorer,
    scanner: Scanner,
    heard: _Heard,
    out: tuple[Callable[[Entry], None], Tell],
) -> None:
    engine, (keep, tell) = scanner.engine, out
    rules = [
        rule_of(label, rate=engine.rate, hop=engine.hop) for label in scanner.config.labels if label.enabled
    ]
    told_at = time.monotonic()

    def steps() -> Iterator[Sequence[Window | Break]]:
        for step in windows:
            for at in step:
                if isinstance(at, Break):
                    keep(entry_of_break(at))
            yield step

    def on_scores(scores: Scores) -> None:
        nonlocal told_at
        keep(entry_of(scores))
        if time.monotonic() - told_at >= _TELL_SECONDS:
            told_at, seconds = time.monotonic(), scores.stop / engine.rate
            tell(seconds, seconds / heard.claimed if heard.claimed else 0.0)

    def on_event(event: Event) -> None:
        if event.reason is not None:
            heard.events.append(event)

    run_analysis(steps(), scorer, Detector(rules), on_scores=on_scores, on_event=on_event)


def _until_error(
    blocks: Iterator[AudioBlock], recording: Recording, errors: list[str]
) -> Iterator[AudioBlock]:
    """Yield blocks; an error is the end, as for a source of the monitor that fails."""
    try:
        yield from blocks
    except SourceError as error:
        errors.append(_without(recording, error))


@contextlib.contextmanager
def _closing(sound: Path | BinaryIO) -> Iterator[Path | BinaryIO]:
    try:
        yield sound
    finally:
        if not isinstance(sound, Path):
            sound.close()


def _without(recording: Recording, error: SourceError) -> str:
    """Return what is wrong, without the name of the file, which has a column of its own."""
    words = printable(str(error))
    for name in (recording.file, printable(recording.address)):
        words = words.removeprefix(f"{name}: ")
    return words


def _report(recording: Recording, scanner: Scanner, status: SourceStatus, heard: _Heard) -> dict[str, Any]:
    rate = scanner.engine.rate
    seconds = status.captured / rate
    missing = (heard.claimed or 0.0) - seconds - status.lost / rate
    reason = heard.errors[0] if heard.errors else None
    outcome = PARTLY if reason else WHOLE
    if not status.captured:
        outcome, reason = FAILED, reason or "contains less than one sample"
    elif reason is None and missing > max(_SHORT_SECONDS, _SHORT_SHARE * seconds):
        outcome, reason = PARTLY, f"holds {seconds:.1f} s of the {heard.claimed:.1f} s that its header claims"
    elif reason is None and status.captured < scanner.engine.length:
        reason = f"is shorter than a window of {scanner.engine.length / rate:g} s"
    row = report_row(recording, outcome, reason)
    if heard.start is not None and status.captured:
        row |= {"started_at": _moment(heard.start.at), "time_from": str(heard.start.known_from)}
    return row | {
        "seconds": round(seconds, 3),
        "lost_seconds": round(status.lost / rate, 3),
        "windows": status.scored + sum(status.gated.values()),
        "scored": status.scored,
        "events": len(heard.events),
    }


def _event_row(event: Event, label: LabelConfig, rate: int) -> dict[str, Any]:
    """Return an event with the keys that it has everywhere, its times as times of Parquet."""
    shown = (
        event_payload(event, label.title) | seconds_in_source(event, rate) | {"threshold": label.threshold}
    )
    row = {name: shown.get(name) for name in EVENTS.names}
    ended_at = event.started_at if event.ended_at is None else event.ended_at
    return row | {"started_at": _moment(event.started_at), "ended_at": _moment(ended_at)}


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(round(at, 3), UTC)
