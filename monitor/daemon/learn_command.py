"""Learn command: gathers examples of a sound, checks them, and gives them to the monitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.recording import record_seconds
from monitor.config import Config, LabelConfig, changed_label
from monitor.daemon.control_socket import NotRunningError, ask, ask_once
from monitor.daemon.learning import source_of
from monitor.detection.active_labels import restore_settings
from monitor.detection.control import Control
from monitor.detection.engine import Engine
from monitor.detection.example_learner import ExampleLearner, together
from monitor.detection.examples import LONGEST_ORIGIN, MOST_EXAMPLES, Examples, added, as_rivals, examples_of
from monitor.detection.quantised import quantised
from monitor.detection.recent_embeddings import RecentEmbeddings
from monitor.evaluation.calibration_kit import Kit, decode_clips, read_kit
from monitor.evaluation.example_check import ExampleCheck, check_examples
from monitor.evaluation.example_recordings import ExampleRecording, example_of, read_recording
from monitor.evaluation.kit_windows import WindowEmbedder
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.memory.label_history import HistoryOptions, LabelHistory, label_history
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.past_windows import past_windows
from monitor.outputs.store import FILE, StoreError, StoreReader
from monitor.outputs.store.rows import StoredEvent
from monitor.system.boundary import printable
from monitor.types import ConfigError, OutputError, Samples

WEEK_SECONDS = 7 * 86_400.0

_ROOM = "bed-quiet-room.opus"
"""Bed of the kit in which short sounds stand."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a label is to be learned from."""

    label: str
    """Identifier."""
    files: tuple[Path, ...] = ()
    events: tuple[str, ...] = ()
    """Identifiers of events that have clips."""
    against: tuple[str, ...] = ()
    """Identifiers of events that are not the sound."""
    record_seconds: float | None = None
    source: str | None = None
    """Source to record from; None for the only one."""
    keys: Mapping[str, object] = field(default_factory=dict)
    """Keys of the label that change as well."""
    replace_known: bool = False
    """Drop the examples that the label has had."""
    dry_run: bool = False
    """Only check."""
    archive: Path | None = None
    """Results of a scan to count in, instead of the last week of the memory."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of a lesson."""

    check: ExampleCheck
    new: int
    """Examples, or sounds marked wrong, that were added."""
    live: bool
    """Whether a monitor runs and uses them now; otherwise the next start does."""
    history: LabelHistory | None = None
    """How often the label would have fired in the last week, or in an archive; None without a memory."""


def learn(config: Config, lesson: Lesson, *, on_record: Callable[[float], None] = lambda _: None) -> Learned:
    """Learn a label, in the running monitor or for the next start.

    Parameters
    ----------
    config : Config
    lesson : Lesson
    on_record : callable
        Takes the seconds that are recorded from now on.

    Raises
    ------
    MonitorError
        A recording cannot be used, or the label or the checkpoint cannot.
    """
    labels = restore_settings(config, config.state).active_labels.labels
    known = next((each for each in labels if each.id == lesson.label), None)
    label = changed_label(known, {**lesson.keys, "id": lesson.label, "examples": True})
    live = is_running(config.state)
    control, engine = next_start(config)
    kit = read_kit()
    recordings = _Recordings(config, engine, kit)
    found, parts = _heard(recordings, lesson.label, _events(config, lesson.events))
    found = [*recordings.files(lesson.files), *found]
    if lesson.record_seconds is not None:
        source = source_of(control, lesson.source)
        on_record(lesson.record_seconds)
        if live:
            parts.append(_recorded_live(config.state, lesson, source))
        else:
            found.append(recordings.source(source, lesson.record_seconds))
    new = _examples(lesson.label, engine, found, parts)
    before = engine.examples.get(lesson.label)
    if lesson.replace_known and before is not None:
        before = before.only_rivals
    every = before if new is None else added(before, new)
    if every is None or not len(every.rows):
        raise ConfigError(f"{lesson.label} has no examples: give --from, --event or --record")
    audio = {each.origin: each.samples for each in found}
    check = check_examples(label, every, audio, engine, kit)
    if new is not None and not lesson.dry_run:
        replace_known = lesson.replace_known
        deliver(config.state, new, lesson.keys, None if live else control, replace_known=replace_known)
    return Learned(
        check,
        0 if new is None else len(new.rows),
        live,
        _history(config, label, every, engine, lesson.archive),
    )


def mark_wrong(config: Config, lesson: Lesson) -> tuple[int, bool]:
    """Let the events against a label count against it; return how many do now, and whether a monitor runs.

    Raises
    ------
    MonitorError
        There is no such label or event, or nothing is left of the sound of one.
    """
    live = is_running(config.state)
    control, engine = next_start(config)
    control.active_labels.find(lesson.label)
    recordings = _Recordings(config, engine, read_kit())
    found, parts = _heard(recordings, lesson.label, _events(config, lesson.against))
    new = _examples(lesson.label, engine, found, parts)
    if new is None:
        raise ConfigError("--against: give an event")
    every = added(engine.examples.get(lesson.label), as_rivals(new))
    if not lesson.dry_run:
        deliver(config.state, as_rivals(new), {}, None if live else control, replace_known=False)
    return len(every.rivals), live


def is_running(state: Path) -> bool:
    """Return whether a monitor runs with this state directory."""
    try:
        ask_once(state, {"command": "status"})
    except NotRunningError:
        return False
    return True


def deliver(
    state: Path,
    examples: Examples,
    keys: Mapping[str, object],
    control: Control | None,
    *,
    replace_known: bool,
) -> None:
    """Give examples to a control, or with None to the monitor that runs with a state directory.

    Raises
    ------
    MonitorError
        They are refused.
    """
    if control is not None:
        control.learn(examples, keys, replace_known=replace_known)
        return
    request = {"command": "learn", "examples": examples.document(), "keys": dict(keys)}
    ask_once(state, request | {"replace": replace_known})


def next_start(config: Config) -> tuple[Control, Engine]:
    """Return a control of what the next start will have, and the engine."""
    settings = restore_settings(config, config.state)
    engine = load_qualified_engine(config.model_copy(update={"labels": settings.active_labels.labels}))
    return Control(settings, engine, state=config.state), engine


@dataclass(frozen=True, slots=True)
class _Recordings:
    """Recordings of one sound, each as an example."""

    config: Config
    engine: Engine
    kit: Kit

    def files(self, paths: Sequence[Path]) -> Iterator[ExampleRecording]:
        for path in paths:
            yield self._example(path.name, read_recording(path, self.engine.rate))

    def clip(self, event: StoredEvent) -> ExampleRecording | None:
        if event.clip is None or not (path := self.config.recordings / event.clip).exists():
            return None
        return self._example(event.event_id, read_recording(path, self.engine.rate))

    def source(self, name: str, seconds: float) -> ExampleRecording:
        source = next(each for each in self.config.sources if each.name == name)
        samples = record_seconds(source, self.engine.rate, seconds, SourceStatus(name))
        return self._example(name, samples)

    def _example(self, origin: str, samples: Samples) -> ExampleRecording:
        [room] = [bed for bed in self.kit.beds if bed.file.name == _ROOM]
        [(_, noise)] = decode_clips([room], self.engine.rate)
        embedder = WindowEmbedder(self.engine.model, self.engine.length)
        return example_of(printable(origin)[:LONGEST_ORIGIN], samples, embedder, self.engine.hop, noise)


def _events(config: Config, identifiers: Sequence[str]) -> Iterator[StoredEvent]:
    reader = StoreReader(config.state / FILE)
    for identifier in identifiers:
        try:
            event = reader.event(identifier)
        except StoreError as error:
            raise OutputError(f"{reader.path}: {error}") from error
        if event is None:
            raise ConfigError(f"--event: there is no event {printable(identifier)[:32]}")
        yield event


def _heard(
    recordings: _Recordings, label: str, events: Iterable[StoredEvent]
) -> tuple[list[ExampleRecording], list[Examples]]:
    """Return events from their clips, and those without one from the memory."""
    found, parts = [], []
    for event in events:
        recording = recordings.clip(event)
        if recording is None:
            parts.append(_remembered(recordings.config, recordings.engine, label, event))
        else:
            found.append(recording)
    return found, parts


def _remembered(config: Config, engine: Engine, label: str, event: StoredEvent) -> Examples:
    """Return an event without a clip as an example, from the memory."""
    past = past_windows(MemoryReader(config.state, engine.model.identity))
    learner = ExampleLearner(engine, RecentEmbeddings((), 1), past=past)
    times = event.started_at, event.ended_at or event.started_at + engine.length / engine.rate
    return learner.between(label, event.source, times, event.event_id)


def _history(
    config: Config, label: LabelConfig, examples: Examples, engine: Engine, archive: Path | None
) -> LabelHistory | None:
    prototypes = engine.build_prototypes([label], config.background, {label.id: examples})
    if archive is not None:
        from monitor.archive.archive_reader import ArchiveReader  # noqa: PLC0415 - the extra `scan`

        past = ArchiveReader(archive, engine.model.identity)
        engine = past.as_scanned(engine)
        options = HistoryOptions(engine.calibration, engine.rate, engine.hop_of)
        return label_history(past, label, prototypes, options, 0.0)
    options = HistoryOptions(engine.calibration, engine.rate, engine.hop_of)
    reader = MemoryReader(config.state, engine.model.identity)
    return label_history(reader, label, prototypes, options, time.time() - WEEK_SECONDS)


def _recorded_live(state: Path, lesson: Lesson, source: str) -> Examples:
    """Let the running monitor, which holds the microphone, record the sound."""
    request = {
        "command": "record",
        "label": lesson.label,
        "seconds": lesson.record_seconds,
        "source": source,
    }
    *_, last = ask(state, request, seconds=10.0)
    return examples_of(last["examples"])


def _examples(
    label: str, engine: Engine, found: Sequence[ExampleRecording], parts: Sequence[Examples]
) -> Examples | None:
    """Return what was gathered; None if there is nothing.

    Raises
    ------
    ConfigError
        There are more than a label may have.
    """
    count = len(found) + len(parts)
    if count > MOST_EXAMPLES:
        raise ConfigError(f"{label}: {count} examples are more than the {MOST_EXAMPLES} of a label")
    every = list(parts)
    if found:
        rows = quantised(np.stack([each.embedding for each in found]))
        origins = tuple(each.origin for each in found)
        every.insert(0, Examples(label, engine.model.identity, rows, origins))
    return together(every) if every else None
