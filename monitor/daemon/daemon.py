"""Builds every part from the configuration; owns signals and threads; knows everyone."""

from __future__ import annotations

import errno
import logging
import signal
import termios
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from types import FrameType
from typing import Any

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import Health, SourceStatus, one_line
from monitor.audio.sources import open_source
from monitor.audio.windows import Windows
from monitor.config import Config, LabelConfig, SourceConfig, read_password
from monitor.config.hours import parse_hours
from monitor.daemon.command_queue import CommandQueue
from monitor.daemon.control_socket import THREADS, ControlSocket
from monitor.daemon.dead_man import DeadMan
from monitor.daemon.http_servers import HttpServers
from monitor.daemon.preflight import check_reload
from monitor.daemon.snapshot import outputs_of, snapshot
from monitor.daemon.watchdog import AwakeClock, HangError, Watchdog, loading
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.baseline_store import BaselineStore
from monitor.detection.control import Control
from monitor.detection.engine import hops_by_source, load_engine
from monitor.detection.events import Detector, Rule, rule_of
from monitor.detection.novelty_gate import NoveltyGate
from monitor.detection.pipeline import AudioTower, Scorer, analyse, listen
from monitor.detection.prompt_preview import PromptPreview
from monitor.model.spectrogram_cache import SpectrogramCache
from monitor.outputs.clips import MODES
from monitor.outputs.fan_out import FanOut
from monitor.outputs.live.watch import WatchFeed
from monitor.system import systemd
from monitor.system.directories import Directories
from monitor.system.malloc import MemoryTrimmer, limit_arenas
from monitor.system.signals import handled
from monitor.system.threads import ThreadGroup
from monitor.types import AudioBlock, EndReason, Event, GateReason, Scores, SourceError

log = logging.getLogger(__name__)

RING_SECONDS = 15
"""Audio of each source that is in memory; with a replay that is in no hurry, or clips, it is a minute."""

LONG_RING_SECONDS = 60
LOOKING_BACK_SECONDS = 50
SHUTDOWN_SECONDS = 7.0
"""All threads together have this long to end, so that the process ends within 8 s."""

TICK_SECONDS = 1.0
PATIENCE_SECONDS = 15.0
DEAD_SECONDS = 60.0
"""A main thread that has not moved for so long will not move again."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did."""

    audio_seconds: float
    windows: int
    """Windows that went through the model."""
    gated: Mapping[GateReason, int]
    """Windows not scored, by reason; see `SourceStatus.gated`."""
    late: int
    """Windows left out because the analysis was late."""
    events: int
    lost_seconds: float
    """Audio known to be lost before it reached the ring."""
    real_time_factor: float
    """Seconds of scoring for each second of audio; below 1 keeps up."""


class Daemon:
    """The monitor, from the sources to the outputs; `run` it once.

    Parameters
    ----------
    config : Config
    required : bool
        A microphone or stream that is not there is an error, not something to wait for.
    patience_seconds : float
        Added to the length of a window: how long nothing may be scored before the watchdog starves; after
        three times as long the process ends.
    around : callable
        Takes the audio tower, and returns what is to be used in its place.
    reread : callable or None
        Reads the configuration again for a reload; None if there is no file.
    keeps : bool
        Whether changes made at run time are kept for the next run, and those of earlier ones hold.
    """

    def __init__(
        self,
        config: Config,
        *,
        required: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
        around: Callable[[AudioTower], AudioTower] = lambda tower: tower,
        reread: Callable[[], Config] | None = None,
        keeps: bool = True,
    ) -> None:
        limit_arenas()
        config = _awake(config)
        self.control = Control(
            config,
            state=config.state if keeps else None,
            reread=None if reread is None else lambda: _awake(reread()),
            check=check_reload,
        )
        self._active_labels = self.control.active_labels
        self._config = config = config.model_copy(update={"labels": self._active_labels.labels})
        self._required = required
        self._patience_seconds = patience_seconds
        self._stop = threading.Event()
        self._signalled = False
        self._failures: list[SourceError] = []
        self._reload_wanted = False
        self._reread = reread
        self._requests = CommandQueue(self.control, self._refuse)
        self._socket = ControlSocket(
            config.state,
            {"status": self._say_status, "reload": self._say_reload, "watch": self._say_watch},
        )
        password = read_password(config.mqtt)
        self._serving = HttpServers(config)
        with loading("the model"):
            self.engine = engine = load_engine(config)
        self._hops = hops_by_source(config, length=engine.length, hop=engine.hop, rate=engine.rate)
        self.control.begin(engine.build_prototypes, engine.prototypes)
        self._prototypes = engine.prototypes
        self._started_at = time.time()
        self.status = {source.name: SourceStatus(source.name) for source in config.sources}
        self._buffers = self._make_buffers()
        self._baselines = BaselineStore(config.state, engine.model.identity)
        self._scorer = Scorer(
            around(engine.model.embed_log_mel),
            engine.prototypes,
            engine.calibration,
            status=self.status,
            rate=engine.rate,
            hop=self._hops,
            silence_dbfs=config.silence_dbfs,
            known=lambda source: self._baselines.known(source, self._prototypes),
        )
        self._scorer.listen(
            self._prototypes, armed=self._active_labels.armed, silence_dbfs=self._active_labels.silence_dbfs
        )
        spectrograms = SpectrogramCache(engine.model.mel_config)
        self._scorer.share(spectrograms)
        changes = NoveltyGate(spectrograms, engine.model.mel_config, self._hops)
        self._scorer.spare(changes, round(config.window.reuse_seconds * engine.rate))
        self._detector = Detector(at=self._rules(self._active_labels))
        self._fan_out = fan_out = FanOut(
            config,
            engine,
            self._active_labels,
            buffers=self._buffers,
            password=password,
            on_command=self._requests.command,
        )
        fan_out.archive.watch(self._active_labels.enabled, self._votes(self._active_labels))
        self._prompt_preview = PromptPreview(engine, fan_out.memory)
        self._watching = WatchFeed(fan_out.live, self.snapshot)
        self._healths: dict[str, Health] = {}
        directories = {"state": (config.state, 0o700)}
        if config.clips.enabled:
            directories["recordings"] = config.recordings, MODES[config.clips.readable_by][1]
        self._directories = Directories(
            directories, on_changed=fan_out.archive.look_again, on_checked=self._look_after_files
        )
        latency = None if fan_out.mqtt is None else fan_out.mqtt.latency
        self._serving.count(self.snapshot, fan_out.counters, self._scorer.stages, latency)
        self._serving.furnish(
            control=self.control,
            live=fan_out.live,
            prompt_preview=self._prompt_preview,
            archive=fan_out.archive,
            snapshot=self.snapshot,
            hop_seconds=engine.hop / engine.rate,
        )

    def run(
        self,
        on_event: Callable[[Event, LabelConfig], None] = lambda _event, _label: None,
        on_scores: Callable[[Scores], None] = lambda _: None,
    ) -> Summary:
        """Listen until every source has ended or a signal comes.

        Parameters
        ----------
        on_event : callable
            Takes every event as it starts and as it ends, with its label as it was then; called in a
            thread of its own.
        on_scores : callable
            Takes the scores of every window; called between two windows, so it must be quick.

        Raises
        ------
        MonitorError
            What the person who runs the monitor can put right.
        ExceptionGroup
            Anything else that went wrong in a thread.
        """
        threads = ThreadGroup(self._stop)
        dead_man = DeadMan(DEAD_SECONDS)
        self._on_scores = on_scores
        handlers = dict.fromkeys((signal.SIGTERM, signal.SIGINT), self._on_signal)
        on_hangup = self._on_signal if self._reread is None else self._on_hangup
        with handled({**handlers, signal.SIGHUP: on_hangup}):
            self._start(threads, on_event)
            hung = self._watch(dead_man)
            if hung is not None:
                threads.fail(hung)
                self._close_outputs()  # the analysis, which does so at its end, may be what hangs
            self._socket.close()
            self._requests.close()
            for buffer in self._buffers.values():
                buffer.close()
            try:
                threads.join(SHUTDOWN_SECONDS)
            finally:
                if hung is None:  # else even the end of the interpreter may hang
                    dead_man.rest()
        self._keep_ambiences()
        self._name_the_too_short()
        if not self._signalled:  # a finished job; a service that was told to stop may leave some
            self._fan_out.check_delivered()
            if self._failures:
                raise self._failures[0]
        return self.summary()

    def stop(self) -> None:
        """End the run as a signal would; from any thread."""
        self._signalled = True
        self._stop.set()

    def summary(self) -> Summary:
        """What has been done so far."""
        every = self.status.values()
        audio = sum(status.captured for status in every) / self.engine.rate
        return Summary(
            audio_seconds=audio,
            windows=sum(status.scored for status in every),
            gated=sum((Counter(status.gated) for status in every), Counter()),
            late=sum(status.late for status in every),
            events=self._fan_out.events,
            lost_seconds=sum(status.lost for status in every) / self.engine.rate,
            real_time_factor=self._scorer.busy_seconds / audio if audio else 0.0,
        )

    def _start(self, threads: ThreadGroup, on_event: Callable[[Event, LabelConfig], None]) -> None:
        self._fan_out.start(threads, on_event)
        self._serving.start(threads)
        for source in self._config.sources:
            blocks = open_source(
                source,
                rate=self.engine.rate,
                status=self.status[source.name],
                stop=self._stop,
                required=self._required,
            )
            threads.start(f"listen {source.name}", partial(self._listen, source, blocks))
        threads.start("analyse", self._analyse)
        threads.start("control", self._requests.run)
        threads.start("directories", partial(self._directories.run, self._stop), may_stay=True)
        if self._socket.open():
            for number in range(THREADS):
                threads.start(f"answer {number + 1}", self._socket.run)

    def _listen(self, source: SourceConfig, blocks: Iterator[AudioBlock]) -> None:
        """Hear one source to its end; one that fails ends alone, and the others are heard on."""
        try:
            listen(blocks, self._buffers[source.name], self.status[source.name])
        except SourceError as error:
            if self._required and source.live:
                raise
            log.error("source %s has failed: %s", source.name, error)  # noqa: TRY400 - not a fault of ours
            self.status[source.name].set_offline(error.reason, str(error))
            self._failures.append(error)

    def _analyse(self) -> None:
        windows = Windows(
            self._buffers, self.status, length=self.engine.length, hop=self._hops, stop=self._stop
        )
        try:
            analyse(
                windows,
                self._scorer,
                self._detector,
                on_scores=self._hand_on_scores,
                on_event=self._hand_on,
                on_miss=self._fan_out.miss,
                between=self._take_change,
            )
        finally:
            self._close_outputs()
            self._stop.set()

    def _close_outputs(self) -> None:
        self._fan_out.close()
        self._serving.close()
        self.engine.model.forget_text()

    def _take_change(self) -> None:
        """Listen for something else, if that is wanted; between two windows, so no window is lost."""
        change = self.control.take()
        if change is None:
            return
        ended = self._detector.listen(self._rules(change.active_labels))
        if not change.active_labels.armed:
            ended += self._detector.finish(EndReason.DISARMED)
        for event in ended:
            self._hand_on(event)
        for name in self.status:
            self._baselines.note(name, self._prototypes, self._scorer.baseline(name))
        self._active_labels, self._prototypes = change.active_labels, change.prototypes
        self._scorer.listen(
            change.prototypes,
            armed=change.active_labels.armed,
            silence_dbfs=change.active_labels.silence_dbfs,
        )
        moved = change.config.mqtt != self._config.mqtt
        self._fan_out.listen(change, self._votes(change.active_labels), moved=moved)
        logging.getLogger("monitor").setLevel(change.config.log_level.upper())
        self._config = self._config.model_copy(
            update={"mqtt": change.config.mqtt, "clips": change.config.clips}
        )
        self._serving.tell(change.active_labels)

    def _rules(self, active_labels: ActiveLabels) -> dict[str, list[Rule]]:
        return {
            source.name: [
                rule_of(
                    label,
                    rate=self.engine.rate,
                    hop=self._hops[source.name],
                    quiet=tuple(map(parse_hours, source.quiet_hours)),
                )
                for label in active_labels.at(source.name)
            ]
            for source in self._config.sources
        }

    def _votes(self, active_labels: ActiveLabels) -> dict[str, tuple[int, int]]:
        """Windows that must agree, and among how many, by label."""
        return {
            rule.label: (rule.hits, rule.of)
            for rules in self._rules(active_labels).values()
            for rule in rules
        }

    def _hand_on(self, event: Event) -> None:
        self._fan_out.event(event, self._active_labels.label(event.source, event.label))

    def _hand_on_scores(self, scores: Scores) -> None:
        self._on_scores(scores)
        self._fan_out.scores(scores)

    def _watch(self, dead_man: DeadMan) -> HangError | None:
        """Sleep on `stop`; once a second tell systemd and the broker how it goes; return what hangs."""
        patience = self._patience_seconds + self.engine.length / self.engine.rate
        tick = min(TICK_SECONDS, (systemd.watchdog_seconds() or 2 * TICK_SECONDS) / 2)
        clock = AwakeClock(most_seconds=5 * tick)
        liveness = Watchdog(self.status, patience, clock.now(), length=self.engine.length)
        tidy = MemoryTrimmer(clock.now())
        hung = None
        while hung is None and not self._stop.wait(tick):
            dead_man.is_well()
            now = clock.now()
            tidy(now)
            if self._reload_wanted:
                self._reload_wanted = False
                if _terminal_is_gone():
                    log.info("SIGHUP: the terminal is gone: ending")
                    self.stop()
                else:
                    self._requests.reload()
            for name in liveness.fell_behind(now):
                log.warning("%s: windows are left out: the model is slower than the hop", name)
            self._healths = healths = {
                name: liveness.health(name, now, rate=self.engine.rate, hop=self._hops[name])
                for name in self.status
            }
            self._fan_out.health(healths, {name for name in healths if liveness.online(name)}, self.snapshot)
            self._prompt_preview.rest()
            factor = self.summary().real_time_factor
            line = one_line(list(self.status.values()), len(self._active_labels.enabled), factor)
            if not self._active_labels.armed:
                line = f"switched off; {line}"
            if self.control.reloaded is not None and self.control.reloaded.faults:
                line = f"{line}; reload refused: {self.control.reloaded.faults[0]}"
            liveness.tell(line, now)
            hung = liveness.hung(now)
        liveness.stopping()
        dead_man.is_well()
        return hung

    def snapshot(self) -> dict[str, Any]:
        """Everything that is known of this run, ready for JSON; from any thread."""
        done, told = self.summary(), self._fan_out
        return snapshot(
            self.control,
            started_at=self._started_at,
            engine=self.engine,
            sources=self.status,
            healths=self._healths,
            mqtt=told.mqtt,
            counters=told.counters,
            others={
                "real_time_factor": round(done.real_time_factor, 4),
                "windows": {
                    "scored": done.windows,
                    "gated": sum(done.gated.values()),
                    "late": done.late,
                },
                "events": done.events,
                **outputs_of(told.archive, alerts=told.alerts, directories=self._directories),
                "http": self._serving.counts(),
                "commands": {
                    "done": self._requests.done,
                    "replaced": self._requests.replaced,
                    "refused": self._requests.refused,
                    "lost": self._requests.lost + (told.mqtt.unheard if told.mqtt is not None else 0),
                },
            },
        )

    def _look_after_files(self) -> None:
        """See that what is open in the state directory is still there."""
        self._socket.mend()
        self._fan_out.archive.look_again("state")

    def _say_status(self, _: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
        yield self.snapshot()

    def _say_watch(self, request: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
        return self._watching.answer(request)

    def _say_reload(self, _: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
        yield asdict(self.control.reload())

    def _refuse(self, topic: str, why: str) -> None:
        if self._fan_out.mqtt is not None:
            self._fan_out.mqtt.refuse(topic, why)

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self._reload_wanted = True  # and nothing more: a signal may come in the middle of anything

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        log.info("%s: ending", signal.Signals(number).name)
        self.stop()

    def _make_buffers(self) -> dict[str, RingBuffer]:
        changed = threading.Condition()
        long = self._config.clips.enabled or any(map(_is_replay, self._config.sources))
        seconds = LONG_RING_SECONDS if long else RING_SECONDS
        capacity = max(seconds * self.engine.rate, 2 * self.engine.length)
        # A clip looks back; what a replayed file has room for ahead of the analysis is the rest.
        behind = max(0, min(LOOKING_BACK_SECONDS * self.engine.rate, capacity - 3 * self.engine.length))
        return {
            source.name: RingBuffer(
                capacity,
                self.engine.rate,
                changed=changed,
                lossless=_is_replay(source),
                behind=behind if self._config.clips.enabled else 0,
            )
            for source in self._config.sources
        }

    def _name_the_too_short(self) -> None:
        """Say of which recordings nothing was scored, and why; nobody should take it for silence."""
        window = self.engine.length / self.engine.rate
        for source in self._config.sources:
            seconds = self.status[source.name].captured / self.engine.rate
            if not source.live and not self._signalled and seconds < window:
                log.warning(
                    "%s: %.1f s is shorter than one window (%g s): nothing was scored",
                    source.name,
                    seconds,
                    window,
                )

    def _keep_ambiences(self) -> None:
        """Remember what the rooms of live sources sound like."""
        live = [source.name for source in self._config.sources if source.live]
        self._baselines.keep(self._prototypes, {name: self._scorer.baseline(name) for name in live})


def _awake(config: Config) -> Config:
    """Return the configuration without the sources that are not listened to."""
    return config.model_copy(update={"sources": config.enabled_sources})


def _terminal_is_gone() -> bool:
    """Tell whether a terminal was closed: that sends the same signal as somebody who wants a reload."""
    try:
        termios.tcgetattr(2)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return False


def _is_replay(source: SourceConfig) -> bool:
    """Tell whether a source waits for the analysis instead of being skipped by it."""
    return not source.live and source.pace == "fast"
