"""Broadcast: newest scores, spectrogram, events and health for any number of watchers.

The analysis only appends to a queue, however many are watching.  One thread makes each message once and
appends it to one ring, from which every watcher reads at its own pace.  A watcher that falls too far behind
is dropped and counted, so a slow client costs neither memory nor time of the analysis.
"""

from __future__ import annotations

import base64
import json
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from monitor.audio.ring_buffer import OverrunError, RingBuffer
from monitor.audio.source_status import Health
from monitor.audio.turns import turn
from monitor.config import LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.near_misses import NearMiss
from monitor.detection.rules import Rule
from monitor.model.mel_config import MelConfig
from monitor.outputs import Output
from monitor.outputs.live.listening import Listen
from monitor.outputs.live.spectrogram import SpectrogramColumns
from monitor.outputs.outbox import Outbox
from monitor.outputs.payload import event_payload, near_miss_payload
from monitor.system.threads import ThreadGroup
from monitor.types import Event, ExitCode, MonitorError, Scores

RING = 256
"""Messages kept, half a minute of four sources; a watcher that is further behind is dropped."""

RING_OF_SOURCE = 8
"""Messages kept for each source at least."""

STALLED = 16
"""A watcher that ends with more unread messages counts as dropped: its connection failed first."""

WAITING = 64
"""Items that may wait to become messages; two for each source if that is more: all may be due at once."""

MAX_WATCHERS = 100


class TooManyError(MonitorError):
    """There are `MAX_WATCHERS` already."""

    exit_code = ExitCode.TEMPORARY


@dataclass(frozen=True, slots=True)
class Message:
    """One message, ready to be sent."""

    kind: str
    """scores, event, near_miss, listener, health, labels."""
    text: str
    """JSON, one line."""


@dataclass(slots=True, eq=False)
class Watcher:
    """One subscriber of `Broadcast`."""

    seen: int
    """Number of the newest message that was read."""
    wake: Callable[[], object]
    view: str | None = None
    """Source whose spectrogram it needs; None: all."""
    behind: int = 0
    """How many messages the last `Broadcast.take` returned or skipped."""
    gone: str | None = None
    """Why no more messages come: ``slow``, or ``end`` of the monitor."""


class Broadcast(Output):
    """Live messages for any number of watchers; `run` is the body of its thread.

    The audio of the spectrogram is in the buffers, by source name.  At least ``ring`` messages are kept.
    """

    def __init__(self, buffers: Mapping[str, RingBuffer], mel_config: MelConfig, *, ring: int = RING) -> None:
        self.dropped = 0
        """Watchers dropped because they were too slow."""
        self._buffers = buffers
        self._mel_config = mel_config
        per_second = SpectrogramColumns.per_second(mel_config)
        self.spectrogram_format = {"bins": mel_config.mel_bins, "per_second": per_second}
        """Rows of the spectrogram, and columns in a second."""
        self._columns = {
            name: SpectrogramColumns(mel_config, buffer.read) for name, buffer in buffers.items()
        }
        self._lock = threading.Lock()
        self._ring: deque[Message] = deque(maxlen=max(ring, RING_OF_SOURCE * len(buffers)))
        self._number = 0
        self._watchers: set[Watcher] = set()
        self._active: dict[str, dict[str, object]] = {}
        self._closed = False
        self._outbox = Outbox(self._publish, max(WAITING, 2 * len(buffers)))

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources."""
        return tuple(self._buffers)

    @property
    def watchers(self) -> int:
        """Number of watchers."""
        return len(self._watchers)

    @property
    def skipped(self) -> int:
        """Messages that were not made, because the thread of `run` was late."""
        return self._outbox.dropped

    @property
    def active(self) -> tuple[dict[str, object], ...]:
        """Payloads of the active events."""
        with self._lock:
            return tuple(self._active.values())

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread of `run`."""
        threads.start("live", self.run)

    def on_scores(self, scores: Scores) -> None:
        """Send the scores of a window."""
        if self._watchers:
            self._outbox.put(scores)

    def on_event(self, event: Event, label: LabelConfig) -> None:
        """Send an event as it starts and as it ends."""
        payload = event_payload(event, label.title)
        with self._lock:
            if event.ended_at is None:
                self._active[event.id] = payload
            else:
                self._active.pop(event.id, None)
        if self._watchers:
            self._outbox.put(("event", payload))

    def on_near_miss(self, miss: NearMiss) -> None:
        """Send a near miss."""
        if self._watchers:
            self._outbox.put(("near_miss", near_miss_payload(miss)))

    def on_listen(self, listen: Listen, listeners: int) -> None:
        """Send that somebody begins or ends to hear a source live."""
        if self._watchers:
            self._outbox.put(("listener", asdict(listen) | {"listeners": listeners}))

    def on_health(self, _healths: Mapping[str, Health], snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Send the snapshot to the watchers, if there are any."""
        if self._watchers:
            self._outbox.put(("health", snapshot()))

    def on_labels(self, active_labels: ActiveLabels, _rules: Mapping[str, Sequence[Rule]]) -> None:
        """Send the labels in force to the watchers."""
        if self._watchers:
            self._outbox.put(("labels", labels_message(active_labels)))

    def run(self) -> None:
        """Make messages until `close`; then end every watcher."""
        try:
            self._outbox.run()
        finally:
            with self._lock:
                self._closed = True
                for watcher in self._watchers:
                    watcher.gone = "end"
                    watcher.wake()

    def close(self) -> None:
        """End soon."""
        self._outbox.close()

    def subscribe(self, wake: Callable[[], object], view: str | None = None) -> Watcher:
        """Add a watcher, from the next message on; raises a `TooManyError`.  ``view`` is the `Watcher`'s.

        ``wake`` is called whenever there is something to `take`; from another thread and with a lock held, so
        it must be quick.  It is never called after `unsubscribe`.
        """
        with self._lock:
            if len(self._watchers) >= MAX_WATCHERS:
                raise TooManyError(f"too many clients: at most {MAX_WATCHERS} can watch")
            watcher = Watcher(self._number, wake, view)
            if self._closed:
                watcher.gone = "end"
            else:
                self._watchers.add(watcher)
            return watcher

    def unsubscribe(self, watcher: Watcher) -> None:
        """Remove a watcher; one that was far behind counts as dropped."""
        with self._lock:
            unread = max(self._number - watcher.seen, watcher.behind)
            self.dropped += watcher in self._watchers and unread > STALLED
            self._watchers.discard(watcher)

    def take(self, watcher: Watcher) -> list[Message]:
        """Return the messages that a watcher has not read yet."""
        with self._lock:
            watcher.behind = self._number - watcher.seen
            new = min(watcher.behind, len(self._ring))
            watcher.seen = self._number
            return [self._ring[index] for index in range(len(self._ring) - new, len(self._ring))]

    def spectrogram(self, source: str) -> dict[str, object]:
        """Return the spectrogram of the audio of a source in memory, from the newest gap on."""
        buffer = self._buffers[source]
        columns = SpectrogramColumns(self._mel_config, buffer.read)
        stop = buffer.stop
        oldest = buffer.last_gap(0, stop) or buffer.start
        if oldest:  # a little later: more audio comes while it is painted
            columns.restart(max(oldest, buffer.start + buffer.rate))
        return _part(columns, buffer, stop)

    def _publish(self, thing: Scores | tuple[str, Mapping[str, object]]) -> None:
        kind, payload = ("scores", self._payload(thing)) if isinstance(thing, Scores) else thing
        text = json.dumps(_finite(payload), allow_nan=False, separators=(",", ":"))
        with self._lock:
            self._number += 1
            self._ring.append(Message(kind, text))
            for watcher in list(self._watchers):
                if self._number - watcher.seen > len(self._ring):
                    watcher.gone = "slow"
                    self.dropped += 1
                    self._watchers.discard(watcher)
                watcher.wake()

    def _payload(self, scores: Scores) -> dict[str, object]:
        values = zip(scores.labels, scores.values.tolist(), strict=True)
        return {
            "source": scores.source,
            "at": round(scores.ended_at, 3),
            "level_dbfs": round(scores.level_dbfs, 1),
            "gated": scores.gated,
            "scores": {label: round(value, 3) for label, value in values},
            "spectrogram": self._spectrogram(scores),
        }

    def _spectrogram(self, scores: Scores) -> dict[str, object] | None:
        """Return the columns since the last message, as base64; None if not needed, or if they are gone."""
        if not any(watcher.view in {None, scores.source} for watcher in tuple(self._watchers)):
            return None
        columns, buffer = self._columns[scores.source], self._buffers[scores.source]
        window = scores.stop - scores.start
        gap = buffer.last_gap(columns.position, scores.stop)
        if gap is not None:
            columns.restart(gap)
        elif columns.position < scores.start - window:  # nobody has watched for a while
            columns.restart(scores.start)
        try:
            with turn:
                return _part(columns, buffer, scores.stop)
        except OverrunError:
            return None


def labels_message(active_labels: ActiveLabels) -> dict[str, object]:
    """Return the labels in force, as watchers receive them."""
    return {
        "armed": active_labels.armed,
        "unusual": bool(active_labels.unusual),
        "labels": [
            {
                "id": label.id,
                "name": label.title,
                "threshold": label.threshold,
                "thresholds": active_labels.thresholds(label.id),
            }
            for label in active_labels.enabled
        ],
    }


def _part(columns: SpectrogramColumns, buffer: RingBuffer, stop: int) -> dict[str, object]:
    start, values = columns.read(stop)
    return {
        "at": round(buffer.time_of(start), 3) if len(values) else 0.0,
        "bins": values.shape[1],
        "columns": base64.b64encode(values.tobytes()).decode(),
    }


def _finite(payload: Any) -> Any:
    """Replace numbers that are not finite, at any depth: the level of digital silence is null in JSON."""
    if isinstance(payload, Mapping):
        return {key: _finite(value) for key, value in payload.items()}
    if isinstance(payload, list | tuple):
        return [_finite(value) for value in payload]
    return None if isinstance(payload, float) and not math.isfinite(payload) else payload
