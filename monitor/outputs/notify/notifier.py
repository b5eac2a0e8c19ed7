"""Events and troubles -> people, through Apprise; never more than they asked for.

Each target has a thread of its own, in which one message at a time is carried by a process with a limit
to its time (`send`).  So a service that hangs delays neither the broker nor another target.
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
from monitor.outputs.notify.send import Post, post
from monitor.outputs.outbox import Outbox
from monitor.system.backoff import Backoff
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.types import Event

log = logging.getLogger(__name__)

WAITING = 20
"""Messages that wait for a target that cannot be reached; the oldest then end up in a digest."""

KEEP_SECONDS = 3600.0
"""A message older than this is news no more, and ends up in a digest."""

FIRST_DELAY, LONGEST_DELAY = 5.0, 300.0
"""Seconds between two attempts; each failure doubles them."""

LIMIT_SECONDS = 30.0
"""For one attempt."""

LAST_SECONDS = 4.0
"""From `close` on, for everything that waits."""

UNJUDGED = 1000
"""Events that come while a message is on its way."""

CLIP_SECONDS = 10.0
"""How much longer than the clip lasts a message waits for it."""

LOOK_SECONDS = 0.5
"""How often it is seen whether a clip is there."""


_NOT_NOTIFIED = ("notify", "hook", "reload")
"""Problems that a notification cannot help with, or that somebody has just seen."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a person is told at once."""

    title: str
    body: str
    kind: str
    """info, success or warning, as Apprise has them."""
    made_at: float
    """Monotonic seconds."""
    event: Event | None = None
    """Of which there may be a clip."""
    clip_by: float = 0.0
    """Until when, in monotonic seconds, a clip that is not there is waited for."""


class Notifier(Output):
    """Tell one target; `run` is the body of its thread.

    Parameters
    ----------
    config : NotifyConfig
    url : str
        Address for Apprise.
    find_clip : callable
        Event to the file with its clip; None while there is none.
    clip_seconds : float
        How long after its onset the clip of an event ends at the latest; 0 if there are no clips.
    post : callable
        As the function of this name.
    """

    def __init__(
        self,
        config: NotifyConfig,
        url: str,
        *,
        find_clip: Callable[[Event], Path | None] = lambda _: None,
        clip_seconds: float = 0.0,
        post: Post = post,
    ) -> None:
        self.name = config.name
        self.sent = self.failed = self.dropped = 0
        """Messages that were delivered; attempts that failed; messages that were given up."""
        self.trouble: str | None = None
        """Why the newest attempt failed, for people; None if it did not."""
        self._config = config
        self._url = url
        self._find_clip = find_clip
        self._clip_wait = clip_seconds + CLIP_SECONDS if config.clip and clip_seconds else 0.0
        self._post = post
        self._restraint = RateLimit(config)
        self._problems = Problems(
            after_seconds=config.health_after_seconds, cooldown_seconds=config.health_cooldown_seconds
        )
        self._wrong: Mapping[str, str] = {}
        self._outbox: Outbox[tuple[Event, str, bool]] = Outbox(self._judge, UNJUDGED)
        self._messages: list[Message] = []
        self._log = TroubleLog(log)
        self._wake = threading.Event()
        self._backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
        self._try_at = -math.inf
        self._closed_at = math.inf

    @property
    def held(self) -> int:
        """Events that were held back."""
        return self._restraint.held + self._outbox.dropped

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread of `run`."""
        threads.start(f"notify {self.name}", self.run)

    def on_event(self, event: Event, label: LabelConfig) -> None:
        """Notify of an event, if the configuration asks for it."""
        if self._restraint.wants(event):
            self._outbox.put((event, label.title, label.clips))
            self._wake.set()

    def on_health(self, _healths: Mapping[str, Health], snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Notify of problems that begin or end, if the configuration asks for it."""
        if self._config.health:
            problems = [
                each for each in snapshot()["problems"] if each["what"].split()[0] not in _NOT_NOTIFIED
            ]
            self._wrong = {each["what"]: each["why"] for each in problems}

    def close(self) -> None:
        """No more events will come; what waits has `LAST_SECONDS`."""
        self._closed_at = min(self._closed_at, time.monotonic())
        self._outbox.close()
        self._wake.set()

    def run(self) -> None:
        """Tell everything in time, until closed."""
        while not self._outbox.closed:
            self._wake.wait(self._pause(time.monotonic()))
            self._wake.clear()
            self._note()
            self._tell()
        self._note()
        while self._messages and self.trouble is None and time.monotonic() < self._over_at():
            self._tell()
        if self._messages:
            self.dropped += len(self._messages)
            log.warning("notify %s: at the end %d messages were not told", self.name, len(self._messages))

    def _over_at(self) -> float:
        return self._closed_at + LAST_SECONDS

    def _pause(self, now: float) -> float:
        """Return the seconds after which it is to be seen what there is to do."""
        if self._messages and now >= self._try_at:
            return 0.0 if any(self._ready(message, now) for message in self._messages) else LOOK_SECONDS
        return LOOK_SECONDS * 2

    def _note(self) -> None:
        """Make messages of what is new, and give up those that are too many or too old."""
        self._outbox.flush(self._outbox.waiting)
        now, at = time.monotonic(), time.time()
        for what, why in self._problems.news(self._wrong, now=now, quiet=self._restraint.quiet(at)):
            title = f"Trouble: {what}" if why else f"{what} works again"
            self._messages.append(Message(title, why or "", "warning" if why else "success", now))
        old = [message for message in self._messages if now - message.made_at > KEEP_SECONDS]
        for message in old or self._messages[:-WAITING]:
            self._messages.remove(message)
            self.dropped += 1
            if message.event is not None:
                self._restraint.hold(message.title, at)

    def _judge(self, told: tuple[Event, str, bool]) -> None:
        """Make a message of an event, or hold it back."""
        event, title, clip = told
        now = time.monotonic()
        if self._restraint.allows(event, title, at=time.time(), now=now):
            when = time.strftime("%H:%M:%S", time.localtime(event.started_at))
            body = f"{event.source}, {when}, score {event.score:.2f}"
            wait = self._clip_wait if clip else 0.0
            self._messages.append(Message(title, body, "info", now, event, clip_by=now + wait))

    def _tell(self) -> None:
        """Make one attempt, if there is anything to tell and it may be tried again."""
        now = time.monotonic()
        if now < self._try_at:
            return
        message = next((each for each in self._messages if self._ready(each, now)), None)
        if message is None and not self._messages and self._restraint.owes(time.time()):
            message = Message("Quiet hours are over", "", "info", now)
        if message is not None:
            self._send(message, now)

    def _ready(self, message: Message, now: float) -> bool:
        return now >= min(message.clip_by, self._closed_at) or self._clip(message) is not None

    def _clip(self, message: Message) -> Path | None:
        if message.event is None or not message.clip_by > message.made_at:
            return None
        return self._find_clip(message.event)

    def _send(self, message: Message, now: float) -> None:
        clip = self._clip(message)
        letter = {
            "url": self._url,
            "title": message.title,
            "body": f"{message.body}\n{self._restraint.digest()}".strip() or message.title,
            "kind": message.kind,
            "clip": None if clip is None else str(clip.absolute()),
        }
        trouble = self._post(letter, lambda: min(now + LIMIT_SECONDS, self._over_at()))
        if trouble is None:
            self.sent += 1
            self._restraint.told()
            self._messages = [each for each in self._messages if each is not message]
            self._backoff.reset()
        else:
            self.failed += 1
            self._try_at = time.monotonic() + self._backoff.next()
        self.trouble = self._log.change(self.trouble, trouble, f"notify {self.name}")
