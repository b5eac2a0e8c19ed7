"""Daemon: starts, watches and ends one run of the monitor."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from monitor.audio.sources import SourceContext, open_source
from monitor.audio.sources.blocks import block_lengths
from monitor.audio.windows import Windows
from monitor.config import SourceConfig
from monitor.daemon.apply_change import apply_change, label_of
from monitor.daemon.build import web_context
from monitor.daemon.control_socket import THREADS
from monitor.daemon.first_run.set_up_service import SetUp
from monitor.daemon.parts import Parts
from monitor.daemon.progress import Summary, run_summary, status_line, warn_of_short_recordings
from monitor.daemon.watchdog import AwakeClock, DeadMan, HangError, Watchdog
from monitor.detection.pipeline import run_analysis, run_capture
from monitor.outputs import Output
from monitor.outputs.fan_out import FanOut
from monitor.outputs.mqtt.session import UnreachableError
from monitor.system import systemd
from monitor.system.malloc import MemoryTrimmer
from monitor.system.signals import handled, terminal_is_gone
from monitor.system.threads import ThreadGroup
from monitor.types import AudioBlock, Break, Event, Scores, SourceError, Window

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 7.0
"""All threads together have this long to end, so that the process ends within 8 s."""

WINDOWS_AT_ONCE = 16
"""Windows of a step on a CPU: the news of the first need not wait for those of a hundred others."""

TICK_SECONDS = 1.0
READY_TICK_SECONDS = 0.05
"""From one look to the next whether the first window is scored."""

PATIENCE_SECONDS = 15.0
DEAD_SECONDS = 60.0
"""A main thread that has not moved for this long never moves again."""


class Daemon:
    """The monitor, from the sources to the outputs; `run` it once.

    Parameters
    ----------
    parts : Parts
        From `monitor.daemon.build.build`.
    required : bool
        A microphone or stream that is missing at the start is an error, instead of being waited for.
    patience_seconds : float
        Added to the length of a window: after so long without a scored window the watchdog starves; after
        three times as long the process ends.
    file : Path or None
        Configuration that the page may set up again, after which `restarts` is true; None: it may not.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        required: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
        file: Path | None = None,
    ) -> None:
        self.parts = parts
        self._current = parts.initial
        """Settings in force (writer: analyse)."""
        self._required = required
        self._patience_seconds = patience_seconds + parts.engine.length / parts.engine.rate
        self._stop = threading.Event()
        self._stopped = self._reload_wanted = False
        self._failures: list[SourceError] = []
        self._set_up = None if file is None else SetUp(file, parts.config.web, on_written=self.restart)
        self.restarts = False
        """The run has ended, or soon ends, to begin again with another configuration."""

    def run(self, *outputs: Output) -> Summary:
        """Run until every source has ended or a signal arrives.

        These outputs receive each event and the scores before those of the configuration.

        Raises
        ------
        MonitorError
            A failure that the user can fix.
        ExceptionGroup
            Anything else that went wrong in a thread.
        """
        parts, threads, dead_man = self.parts, ThreadGroup(self._stop), DeadMan(DEAD_SECONDS)
        every = {**{type(output).__name__: output for output in outputs}, **parts.outputs}
        fan_out = FanOut(every, parts.archive.record, parts.faults)
        handlers = dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), self._on_signal)
        with handled(handlers | ({signal.SIGHUP: self._on_hangup} if parts.reloads else {})):
            self._start(threads, fan_out)
            hung = self._watch(fan_out, dead_man)
            if hung is not None:
                threads.fail(hung)
                self._close_outputs(fan_out)  # the analysis, which does so at its end, may be what hangs
            if self._set_up is not None:
                self._set_up.meters.close()
            parts.control_socket.close()
            parts.commands.close()
            for buffer in parts.buffers.values():
                buffer.close()
            try:
                threads.join(SHUTDOWN_SECONDS)
            finally:
                if hung is None:  # otherwise even the end of the interpreter may hang
                    dead_man.stop()
        live = [source.name for source in parts.config.sources if source.live]
        parts.scorer.close()
        parts.baselines.save(self._current.prototypes, {name: parts.scorer.baseline(name) for name in live})
        if not self._stopped:  # a job that is done; a service that is stopped may leave something over
            warn_of_short_recordings(parts)
            mqtt = None if parts.mqtt is None else parts.mqtt.status
            if mqtt is not None and mqtt.waiting:
                raise UnreachableError(f"mqtt: {mqtt.waiting} messages were not delivered: {mqtt.trouble}")
            if self._failures:
                raise self._failures[0]
        return run_summary(parts)

    def stop(self) -> None:
        """End the run as a signal would; from any thread."""
        self._stopped = self.parts.listeners.stopping = True
        self._stop.set()

    def restart(self) -> None:
        """End the run, so that the process can begin again; from any thread."""
        log.info("the configuration was set up again: restarting")
        self.restarts = True
        self.stop()

    def _start(self, threads: ThreadGroup, fan_out: FanOut) -> None:
        parts = self.parts
        answers = THREADS if parts.control_socket.open() else 0  # before an output says that we are online
        fan_out.start(threads)
        parts.http_servers.start(threads, partial(web_context, parts, set_up=self._set_up))
        engine, sources = parts.engine, parts.config.sources
        for place, source in enumerate(sources):
            status = parts.status[source.name]
            hop = engine.hop_of(source.name) / engine.rate
            lengths = block_lengths(engine.length / engine.rate, hop)
            context = SourceContext(engine.rate, status, self._stop, self._required, lengths)
            blocks = open_source(source, context)
            # One after the other within a hop: otherwise all windows of recordings would be due together.
            wait = hop * place / len(sources)
            threads.start(f"listen {source.name}", partial(self._listen, source, blocks, wait))
        threads.start("analyse", partial(self._analyse, fan_out))
        threads.start("control", parts.commands.run)
        threads.start("thresholds", partial(parts.target_thresholds.run, self._stop), may_stay=True)
        if parts.unusual is not None:
            threads.start("unusual", partial(parts.unusual.run, self._stop), may_stay=True)
        threads.start("directories", partial(parts.directories.run, self._stop), may_stay=True)
        for number in range(answers):
            threads.start(f"answer {number + 1}", parts.control_socket.run)

    def _listen(self, source: SourceConfig, blocks: Iterator[AudioBlock], wait: float) -> None:
        """Capture one source, after this many seconds, until it ends; a source that fails ends alone."""
        status = self.parts.status[source.name]
        if source.live or source.pace == "realtime":
            self._stop.wait(wait)
        try:
            run_capture(blocks, self.parts.buffers[source.name], status)
        except SourceError as error:
            if self._required and source.live:
                raise
            log.error("source %s has failed: %s", source.name, error)  # noqa: TRY400 - not a fault of ours
            status.set_offline(error.reason, str(error))
            self._failures.append(error)

    def _analyse(self, fan_out: FanOut) -> None:
        parts = self.parts

        def on_scores(scores: Scores) -> None:
            parts.embeddings.add(scores)
            fan_out.on_scores(scores)

        def on_event(event: Event) -> None:
            fan_out.on_event(event, label_of(event, parts.detector, self._current.active_labels))

        try:
            run_analysis(
                self._steps(fan_out),
                parts.scorer,
                parts.detector,
                on_scores=on_scores,
                on_event=on_event,
                on_near_miss=fan_out.on_near_miss,
            )
        finally:
            self._close_outputs(fan_out)
            self._stop.set()

    def _steps(self, fan_out: FanOut) -> Iterator[Sequence[Window | Break]]:
        """Windows and breaks that are due together; a change is applied between two steps."""
        parts, engine = self.parts, self.parts.engine
        for step in Windows(
            parts.buffers,
            parts.status,
            length=engine.length,
            hop=engine.hops,
            stop=self._stop,
            at_once=WINDOWS_AT_ONCE if engine.model.device == "cpu" else None,
        ):
            change = parts.control.take_change()
            if parts.detector.take_references():
                change = change or self._current  # the memory notes the thresholds in force
            if change is not None:
                apply_change(parts, self._current, change, fan_out)
                self._current = change
            for at in step:
                if isinstance(at, Break):
                    fan_out.on_break(at)
            yield step

    def _close_outputs(self, fan_out: FanOut) -> None:
        self.parts.listeners.close()
        fan_out.close()
        self.parts.http_servers.close()
        self.parts.engine.model.forget_text()

    def _watch(self, fan_out: FanOut, dead_man: DeadMan) -> HangError | None:
        """Wait for the end; report health once a second; return the stage that hangs, if one does."""
        parts = self.parts
        tick = min(TICK_SECONDS, (systemd.watchdog_seconds() or 2 * TICK_SECONDS) / 2)
        clock = AwakeClock(most_seconds=5 * tick)
        watchdog = Watchdog(parts.status, self._patience_seconds, clock.now(), length=parts.engine.length)
        trim_memory = MemoryTrimmer(clock.now())
        hung = None
        while hung is None and not self._stop_within(tick, watchdog):
            dead_man.keep_alive()
            now = clock.now()
            trim_memory(now)
            self._reload_if_asked()
            for name in watchdog.fell_behind(now):
                log.warning("%s: windows are left out: the model is slower than the hop", name)
            for name, hop in parts.engine.hops.items():
                parts.healths[name] = watchdog.health(name, now, rate=parts.engine.rate, hop=hop)
            fan_out.on_health(parts.healths, parts.snapshot)
            parts.prompt_preview.free_idle()
            watchdog.report(status_line(parts, self._current.active_labels), now)
            hung = watchdog.hung(now)
        if not self.restarts:  # the service manager would end a process that says so and goes on
            watchdog.stopping()
        dead_man.keep_alive()
        return hung

    def _stop_within(self, seconds: float, watchdog: Watchdog) -> bool:
        """Wait, at most until the first window is scored; return whether the run ends."""
        if watchdog.ready:
            return self._stop.wait(seconds)
        for _ in range(max(1, round(seconds / READY_TICK_SECONDS))):
            if self._stop.wait(READY_TICK_SECONDS) or watchdog.becomes_ready():
                break
        return self._stop.is_set()

    def _reload_if_asked(self) -> None:
        if not self._reload_wanted:
            return
        self._reload_wanted = False
        if terminal_is_gone():
            log.info("SIGHUP: the terminal was closed: shutting down")
            self.stop()
        else:
            self.parts.commands.reload()

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self._reload_wanted = True  # and nothing more: a signal may arrive in the middle of anything

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        log.info("%s: shutting down", signal.Signals(number).name)
        self.stop()
