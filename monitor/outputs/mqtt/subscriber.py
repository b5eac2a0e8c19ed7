"""What others say to a node over the broker: births of Home Assistant, and commands."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from monitor.outputs.mqtt.commands import Command, command_of
from monitor.outputs.mqtt.health_payloads import refused_payload
from monitor.outputs.mqtt.notices import Received
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import as_json
from monitor.system.boundary import boundary, printable
from monitor.types import ConfigError

log = logging.getLogger(__name__)

LONGEST_TOPIC = 200

REFUSALS = 100
"""Refused commands that wait to be told; the oldest make room, and are counted."""

UNTOLD = "{} more commands were refused or lost, too many to tell one by one"

OnCommand = Callable[[str, Command | str], None]
"""Takes a topic, and a command or why it is none; it must not block."""

_RETAINED = (
    "mqtt: %s: a retained command is ignored, as any that was said before we listened: "
    "publish commands without the retain flag"
)


class MqttSubscriber:
    """Take what is said and hand commands on, in the thread of the connection; say which are refused.

    Parameters
    ----------
    topics : Topics
    birth : str or None
        Topic under which Home Assistant says that it has started; None if it is not told anything.
    commands : bool
        Whether commands are listened to.
    on_command : callable
    """

    def __init__(self, topics: Topics, *, birth: str | None, commands: bool, on_command: OnCommand) -> None:
        self.born = False
        """Home Assistant has started; whoever answers it says that it has."""
        self._topics = topics
        self._birth = birth
        self._commands = commands
        self._on_command = on_command
        self._refusals: deque[tuple[str, str]] = deque(maxlen=REFUSALS)
        self._untold = 0
        self._refusing = threading.Lock()
        self._told_of_retained = False

    def filters(self) -> list[str]:
        """Filters of the topics that are listened to."""
        commands = self._topics.command_filters() if self._commands else ()
        return [*commands, *([] if self._birth is None else [self._birth])]

    def move(self, topics: Topics, *, birth: str | None, commands: bool) -> None:
        """Listen to other topics from the next connection on."""
        self._topics, self._birth, self._commands = topics, birth, commands

    def hear(self, said: Received) -> None:
        """Take what was said; what is retained was said to somebody else, some time ago.

        Called in the thread of the connection, so that nothing can pile up before it: never waits.
        """
        if said.topic == self._birth:
            self.born = said.text == "online" and not said.retained
        elif not said.retained:
            self._on_command(_shown(said.topic), self._understood(said))
        elif not self._told_of_retained:
            self._told_of_retained = True
            log.warning(_RETAINED, _shown(said.topic))

    def refuse(self, topic: str, why: str) -> None:
        """Say that a command was refused; from any thread."""
        with self._refusing:
            self._untold += len(self._refusals) == REFUSALS
            self._refusals.append((topic, why))

    def say(self, publish: Callable[..., None], most: int) -> None:
        """Say which commands were refused, and why; at most so many at once.

        Of a flood the newest are told one by one, and of the others how many they were.
        """
        for _ in range(most):
            with self._refusing:
                if not self._refusals and not self._untold:
                    return
                if self._untold:
                    topic, why = self._topics.refused(), UNTOLD.format(self._untold)
                    self._untold = 0
                else:
                    topic, why = self._refusals.popleft()
            publish(self._topics.refused(), as_json(refused_payload(topic, why)), qos=1)

    def _understood(self, said: Received) -> Command | str:
        try:
            with boundary(ConfigError, "the command cannot be read"):
                return command_of(self._topics, said.topic, said.text)
        except ConfigError as error:
            return str(error)


def _shown(topic: str) -> str:
    """Topic as it may be logged and repeated: others choose some of its levels, line breaks included."""
    return printable(topic[:LONGEST_TOPIC])
