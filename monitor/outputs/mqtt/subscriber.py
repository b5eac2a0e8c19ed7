"""Subscriber: receives commands and birth messages of Home Assistant, and reports refused commands."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from monitor.outputs.mqtt.commands import Command, parse_command
from monitor.outputs.mqtt.connection_events import Received
from monitor.outputs.mqtt.topics import Topics, watchlist_topic
from monitor.outputs.payload import as_json
from monitor.system.boundary import boundary, printable
from monitor.types import ConfigError

log = logging.getLogger(__name__)

MAX_TOPIC = 200
"""Characters of a topic that are logged or repeated."""

MAX_REFUSALS = 100
"""Refused commands that wait to be published; beyond it, the oldest are only counted."""

UNREPORTED = "{} more commands were refused or lost, too many to report one by one"

OnCommand = Callable[[str, Command | str], None]
"""Receives a topic, and a command or the reason why it is refused; must not block."""

_RETAINED = (
    "mqtt: %s: a retained command is ignored because it was published before we subscribed: "
    "publish commands without the retain flag"
)


class MqttSubscriber:
    """Receive messages in the thread of the connection, and pass commands on, if they are accepted.

    ``birth`` is the topic of the birth message of Home Assistant; None: it is not needed.  With ``follow``,
    the watchlist of the fleet is a command, the only one that is meant to be retained.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        birth: str | None,
        commands: bool,
        on_command: OnCommand,
        follow: bool = False,
    ) -> None:
        self.born = False
        """Home Assistant has started; the publisher resets it."""
        self._topics, self._birth, self._commands = topics, birth, commands
        self._on_command, self._follow = on_command, follow
        self._refusals: deque[tuple[str, str]] = deque(maxlen=MAX_REFUSALS)
        self._unreported = 0
        self._lock = threading.Lock()
        self._retained_logged = False

    def apply(self, topics: Topics, *, birth: str | None, commands: bool) -> None:
        """Apply other settings; they take effect with the next connection."""
        self._topics, self._birth, self._commands = topics, birth, commands

    def filters(self) -> tuple[str, ...]:
        """Return the topic filters to subscribe to."""
        commands = self._topics.command_filters() if self._commands else ()
        births = () if self._birth is None else (self._birth,)
        return (*commands, *births, *self._watchlists())

    def receive(self, message: Received) -> None:
        """Handle a message, in the thread of the connection; a retained one was meant for an earlier time.

        Never waits, so that nothing piles up in front of it.
        """
        if message.topic == self._birth:
            self.born = message.text == "online" and not message.retained
        elif not message.retained or message.topic in self._watchlists():
            self._on_command(_shown(message.topic), self._parse(message))
        elif not self._retained_logged:
            self._retained_logged = True
            log.warning(_RETAINED, _shown(message.topic))

    def refuse(self, topic: str, reason: str) -> None:
        """Report a refused command; from any thread."""
        with self._lock:
            self._unreported += len(self._refusals) == MAX_REFUSALS
            self._refusals.append((topic, reason))

    def publish_refusals(self, publish: Callable[..., None], limit: int) -> None:
        """Publish refused commands, at most this many: the newest each, and the number of the others."""
        for _ in range(limit):
            with self._lock:
                if not self._refusals and not self._unreported:
                    return
                if self._unreported:
                    topic, reason = self._topics.refused(), UNREPORTED.format(self._unreported)
                    self._unreported = 0
                else:
                    topic, reason = self._refusals.popleft()
            publish(self._topics.refused(), as_json({"topic": topic, "reason": reason}), qos=1)

    def _watchlists(self) -> tuple[str, ...]:
        return (watchlist_topic(self._topics.base),) if self._follow else ()

    def _parse(self, message: Received) -> Command | str:
        try:
            with boundary(ConfigError, "the command cannot be read"):
                return parse_command(self._topics, message.topic, message.text)
        except ConfigError as error:
            return str(error)


def _shown(topic: str) -> str:
    """Return a topic for display: other clients choose some of its levels, line breaks included."""
    return printable(topic[:MAX_TOPIC])
