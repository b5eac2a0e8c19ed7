"""A thousand events, a broker that comes and goes, and a process that is killed again and again."""

import contextlib
import json
import random
import subprocess
import sys
import threading
import time

import pytest

from tests.support.broker import PATIENCE, Broker, Subscriber, eventually

pytestmark = pytest.mark.broker

KILLS = 20
EVENTS = 1000
SECONDS = 120
"""Given to one life on a machine that has other things to do."""

EVENT = "clap-monitor/home/mic0/event"
OF_ONE_MESSAGE = {"published_at", "latency_seconds", "late"}


class Life:
    """One process of `talker`, from its start until it is killed or told to end."""

    def __init__(self, port, queue_file, number):
        self.number = number
        self.began_at = time.time()
        self._put = {}
        self._written = 0
        command = [sys.executable, "-m", "tests.support.mqtt_writer", str(port), str(queue_file), str(number)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def written(self):
        """Event and phase of everything that it is known to have had on disk, in order."""
        return [self._put[number] for number in range(1, self._written + 1)]

    def kill(self):
        self._process.kill()
        self._see_it_end(-9)

    def end(self):
        self._see_it_end(0)

    def _see_it_end(self, code):
        self._process.stdin.close()
        errors = self._process.stderr.read()
        self._reader.join()
        self._process.stdout.close()
        self._process.stderr.close()
        assert self._process.wait(PATIENCE) == code, errors
        assert "Traceback" not in errors
        assert "cannot be used" not in errors

    def _read(self):
        for line in self._process.stdout:
            match line.split():
                case ["put", number, event, phase]:
                    self._put[int(number)] = (event, phase)
                case ["written", number]:
                    self._written = int(number)


@contextlib.contextmanager
def troubled(broker, subscriber):
    """Stop or kill the broker and start it again, over and over, for as long as this lasts."""
    over = threading.Event()
    chance = random.Random(5)

    def trouble():
        while not over.wait(chance.uniform(0, 1.5)):
            chance.choice([broker.stop, broker.kill])()
            over.wait(chance.uniform(0, 1))
            broker.start()
            # Who hears of it must be there, or what the broker acknowledged would be lost with the next kill.
            subscriber.wait_until_back()

    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return the lives that were lived, and the messages that came of them, in the order of arrival."""
    directory = tmp_path_factory.mktemp("house")
    chance = random.Random(4)
    lives = []
    with (
        Broker(directory, sessions=True) as broker,
        Subscriber(broker, EVENT, session="listener", qos=0) as subscriber,
    ):
        broker.stop()  # from now on it knows the session, however it ends
        broker.start()
        subscriber.wait_until_back()
        with troubled(broker, subscriber):
            for number in range(KILLS):
                life = Life(broker.port, directory / "outbox.sqlite", number)
                lives.append(life)
                wanted = 2 * EVENTS // KILLS + chance.randrange(20)
                eventually(lambda: len(life.written) >= wanted, SECONDS)  # noqa: B023 - called here and now
                life.kill()
        last = Life(broker.port, directory / "outbox.sqlite", KILLS)
        lives.append(last)
        eventually(lambda: len(last.written) >= 2 * EVENTS // KILLS, SECONDS)
        last.end()
        subscriber.settle()
        return lives, [json.loads(text) for text in subscriber.texts(EVENT)]


def first_of_each(messages):
    found = {}
    for message in messages:
        found.setdefault((message["event_id"], message["phase"]), message)
    return found


def test_everything_that_was_on_disk_has_arrived(told):
    lives, messages = told
    written = {each for life in lives for each in life.written}
    assert sum(phase == "start" for _, phase in written) >= EVENTS
    assert written - first_of_each(messages).keys() == set()


def test_every_event_has_one_end_whatever_happened_in_its_midst(told):
    _, messages = told
    started = [event for event, phase in first_of_each(messages) if phase == "start"]
    ended = [event for event, phase in first_of_each(messages) if phase == "end"]
    assert sorted(started) == sorted(ended)
    assert any(message["reason"] == "restart" for message in messages)


def test_no_message_comes_twice_with_another_content(told):
    _, messages = told
    first = first_of_each(messages)
    for message in messages:
        one = first[message["event_id"], message["phase"]]
        assert {key for key in message if message[key] != one[key]} <= OF_ONE_MESSAGE


def test_the_events_of_a_label_come_in_their_order(told):
    _, messages = told
    first = list(first_of_each(messages).values())
    for label in ("glass", "dog"):
        order = [(m["event_id"], m["phase"] == "end") for m in first if m["event_type"] == label]
        assert order == sorted(order)


def test_what_waited_for_the_broker_or_for_a_restart_is_marked_as_late(told):
    lives, messages = told
    began = {life.number: life.began_at for life in lives}
    late_ones = 0
    for message in messages:
        life = int(message["event_id"][:6])
        of_earlier_life = message["published_at"] > began.get(life + 1, float("inf"))
        if of_earlier_life or message["reason"] == "restart" or message["latency_seconds"] > 3.1:
            assert message["late"]
        elif message["latency_seconds"] < 2.9:
            assert not message["late"]
        late_ones += message["late"]
    assert 0 < late_ones < len(messages)
