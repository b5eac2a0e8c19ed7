"""Notifier: sends events and problems to one target through Apprise.

Each target has a thread of its own, which sends one notification at a time in a process with a time limit.
So a service that hangs delays neither the broker nor another target.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.audio.source_status import Health
from monitor.config import LabelConfig, NotifyConfig
from monitor.outputs import Output
from monitor.outputs.notify.problems import Problems
from monitor.outputs.notify.rate_limit import RateLimit
from monitor.outputs.notify.send import Send, send
from monitor.outputs.outbox import Outbox
from monitor.system.backoff import Backoff
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.types import Event

log = logging.getLogger(__name__)

MAX_WAITING = 20
"""Notifications that wait for a target; beyond it, the oldest are dropped and named in a digest."""

KEEP_SECONDS = 3600.0
"""Age at which a waiting notification is dropped and named in a digest."""

FIRST_DELAY, LONGEST_DELAY = 5.0, 300.0
"""Seconds between two attempts; each failure doubles them."""

ATTEMPT_SECONDS = 30.0
"""Time limit of one attempt."""

DRAIN_SECONDS = 4.0
"""From `close` on, for everything that waits."""

MAX_EVENTS = 1000
"""Events that arrive during one attempt."""

CLIP_SECONDS = 10.0
"""How long after the end of a clip a notification waits for its file."""

POLL_SECONDS = 0.5
"""Interval at which the file of a clip is looked for."""

_NOT_NOTIFIED = ("notify", "hook", "reload")
"""Problems that a notification cannot help with, or that a user has just caused."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to the target."""

    title: str
    body: str
    kind: str
    """info, success or warning, as in Apprise."""
    made_at: float
    """Monotonic seconds."""
    event: Event | None = None
    """Event with a clip."""
    clip_by: float = 0.0
    """Monotonic time until which it waits for the clip."""


class Notifier(Output):
    """Notify one target, an address for Apprise; `run` is the body of its thread.

    ``find_clip`` returns the file with the clip of an event, None while there is none.  A clip ends at most
    ``clip_seconds`` after the onset; 0 without clips.
    """

    def __init__(
        self,
        config: NotifyConfig,
        url: str,
        *,
        find_clip: Callable[[Event], Path | None] = lambda _: None,
        clip_seconds: float = 0.0,
        send: Send = send,
    ) -> None:
        self.name = config.name
        self.sent = self.failed = self.dropped = 0
        """Delivered notifications; failed attempts; notifications given up."""
        self.trouble: str | None = None
        """Why the newest attempt failed, for display; None if it succeeded."""
        self._config = config
        self._url = url
        self._find_clip = find_clip
        self._clip_wait = clip_seconds + CLIP_SECONDS if config.clip and clip_seconds else 0.0
        self._send_request = send
        self._rate_limit = RateLimit(config)
        self._problems = Problems(
            after_seconds=config.health_after_seconds, cooldown_seconds=config.health_cooldown_seconds
        )
        self._current_problems: Mapping[str, str] = {}
        self._outbox: Outbox[tuple[Event, LabelConfig]] = Outbox(self._add_event, MAX_EVENTS)
        self._waiting: list[Notification] = []
        self._log = TroubleLog(log)
        self._wake = threading.Event()
        self._backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
        self._retry_at = -math.inf
        self._closed_at = math.inf

    @property
    def held(self) -> int:
        """Events that were held back."""
        return self._rate_limit.held + self._outbox.dropped

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread of `run`."""
        threads.start(f"notify {self.name}", self.run)

    def on_event(self, event: Event, label: LabelConfig) -> None:
        """Notify an event, if the configuration asks for it."""
        if self._rate_limit.matches(event):
            self._outbox.put((event, label))
            self._wake.set()

    def on_health(self, _healths: Mapping[str, Health], snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Notify problems that begin or end, if the configuration asks for it."""
        if self._config.health:
            problems = [p for p in snapshot()["problems"] if p["what"].split()[0] not in _NOT_NOTIFIED]
            self._current_problems = {problem["what"]: problem["why"] for problem in problems}

    def close(self) -> None:
        """End `run` within `DRAIN_SECONDS`: no more events come."""
        self._closed_at = min(self._closed_at, time.monotonic())
        self._outbox.close()
        self._wake.set()

    def run(self) -> None:
        """Send notifications as they become due, until closed."""
        while not self._outbox.closed:
            self._wake.wait(self._pause(time.monotonic()))
            self._wake.clear()
            self._collect()
            self._send_next()
        self._collect()
        while self._waiting and self.trouble is None and time.monotonic() < self._drained_by():
            self._send_next()
        if self._waiting:
            self.dropped += len(self._waiting)
            log.warning("notify %s: %d messages undelivered at shutdown", self.name, len(self._waiting))

    def _drained_by(self) -> float:
        return self._closed_at + DRAIN_SECONDS

    def _pause(self, now: float) -> float:
        """Return the seconds until the next look."""
        if self._waiting and now >= self._retry_at:
            return 0.0 if any(self._is_ready(each, now) for each in self._waiting) else POLL_SECONDS
        return POLL_SECONDS * 2

    def _collect(self) -> None:
        """Add new events and problems, and drop notifications that are too many or too old."""
        self._outbox.flush(self._outbox.waiting)
        now, at = time.monotonic(), time.time()
        quiet = self._rate_limit.is_quiet(at)
        for what, reason in self._problems.update(self._current_problems, now=now, quiet=quiet):
            title = f"Trouble: {what}" if reason else f"{what} works again"
            self._waiting.append(Notification(title, reason or "", "warning" if reason else "success", now))
        old = [each for each in self._waiting if now - each.made_at > KEEP_SECONDS]
        for notification in old or self._waiting[:-MAX_WAITING]:
            self._waiting.remove(notification)
            self.dropped += 1
            if notification.event is not None:
                self._rate_limit.hold(notification.title, at)

    def _add_event(self, pair: tuple[Event, LabelConfig]) -> None:
        """Add a notification of an event, or hold the event back."""
        event, label = pair
        now = time.monotonic()
        if self._rate_limit.allows(event, label.title, at=time.time(), now=now):
            when = time.strftime("%H:%M:%S", time.localtime(event.started_at))
            like = f"\nlike {'; '.join(event.like)}" if event.like else ""
            body = f"{event.source}, {when}, score {event.score:.2f}{like}"
            clip_by = now + (self._clip_wait if label.clips else 0.0)
            self._waiting.append(Notification(label.title, body, "info", now, event, clip_by=clip_by))

    def _send_next(self) -> None:
        """Make one attempt, if a notification is ready and the delay is over."""
        now = time.monotonic()
        if now < self._retry_at:
            return
        notification = next((each for each in self._waiting if self._is_ready(each, now)), None)
        if notification is None and not self._waiting and self._rate_limit.digest_due(time.time()):
            notification = Notification("Quiet hours are over", "", "info", now)
        if notification is not None:
            self._send(notification, now)

    def _is_ready(self, notification: Notification, now: float) -> bool:
        return now >= min(notification.clip_by, self._closed_at) or self._clip(notification) is not None

    def _clip(self, notification: Notification) -> Path | None:
        if notification.event is None or not notification.clip_by > notification.made_at:
            return None
        return self._find_clip(notification.event)

    def _send(self, notification: Notification, now: float) -> None:
        clip = self._clip(notification)
        request = {
            "url": self._url,
            "title": notification.title,
            "body": f"{notification.body}\n{self._rate_limit.digest()}".strip() or notification.title,
            "kind": notification.kind,
            "clip": None if clip is None else str(clip.absolute()),
        }
        trouble = self._send_request(request, lambda: min(now + ATTEMPT_SECONDS, self._drained_by()))
        if trouble is None:
            self.sent += 1
            self._rate_limit.clear_digest()
            self._waiting = [each for each in self._waiting if each is not notification]
            self._backoff.reset()
        else:
            self.failed += 1
            self._retry_at = time.monotonic() + self._backoff.next()
        self.trouble = self._log.change(self.trouble, trouble, f"notify {self.name}")
