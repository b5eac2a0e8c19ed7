"""Fan-out: every output gets everything, whatever the others do."""

import threading

from monitor.outputs import Output
from monitor.outputs.fan_out import FanOut
from monitor.system.threads import ThreadGroup
from tests.support.events import event, label_of

DOG = label_of("dog")


class Recording(Output):
    """Output that records which of its methods were called, in one list for all."""

    def __init__(self, name, calls):
        self._name, self._calls = name, calls

    def on_event(self, event, _label):
        self._calls.append((self._name, "event", event.clip))

    def on_scores(self, scores):
        self._calls.append((self._name, "scores", scores))

    def on_near_miss(self, miss):
        self._calls.append((self._name, "near miss", miss))

    def on_labels(self, _active_labels, rules):
        self._calls.append((self._name, "labels", rules))

    def apply(self, config):
        self._calls.append((self._name, "settings", config))

    def on_health(self, _healths, snapshot):
        self._calls.append((self._name, "health", snapshot()))

    def close(self):
        self._calls.append((self._name, "close", None))


class Failing(Output):
    """Output with a fault in every method."""

    def _fail(self, *_):
        raise KeyError("no such label")

    on_event = on_scores = on_near_miss = on_labels = apply = on_health = close = _fail


def fan_out_of(outputs, faults=None):
    return FanOut(outputs, lambda event, _label: event, {} if faults is None else faults)


def call_everything(fan_out):
    fan_out.on_event(event(), DOG)
    fan_out.on_scores("scores")
    fan_out.on_near_miss("miss")
    fan_out.on_labels("labels", "rules")
    fan_out.apply("config")
    fan_out.on_health({}, lambda: "snapshot")
    fan_out.close()


EVERYTHING = [
    ("event", None),
    ("scores", "scores"),
    ("near miss", "miss"),
    ("labels", "rules"),
    ("settings", "config"),
    ("health", "snapshot"),
    ("close", None),
]


def test_every_output_gets_everything_in_order():
    calls = []
    call_everything(fan_out_of({name: Recording(name, calls) for name in ("a", "b")}))
    assert calls == [(name, kind, thing) for kind, thing in EVERYTHING for name in ("a", "b")]


def test_a_fault_of_one_output_is_counted_and_logged_and_the_others_get_everything(caplog):
    calls, faults = [], {}
    fan_out = fan_out_of({"a": Recording("a", calls), "mqtt": Failing(), "b": Recording("b", calls)}, faults)
    call_everything(fan_out)
    assert calls == [(name, kind, thing) for kind, thing in EVERYTHING for name in ("a", "b")]
    assert {name: each.count for name, each in faults.items()} == {"a": 0, "mqtt": len(EVERYTHING), "b": 0}
    assert "a bug in clap-monitor, in mqtt: KeyError: 'no such label'" in caplog.text


def test_the_clip_of_an_event_is_decided_before_any_output_gets_the_event():
    calls = []

    def record(event, label):
        calls.append(("clips", label.id, event.clip))
        return event

    FanOut({"a": Recording("a", calls)}, record, {}).on_event(event(), DOG)
    assert calls == [("clips", "dog", None), ("a", "event", None)]


def test_a_snapshot_is_made_once_for_all_and_only_if_an_output_needs_it():
    made = []

    def snapshot():
        made.append(True)
        return {}

    fan_out_of({"counters": Output()}).on_health({}, snapshot)
    assert made == []
    fan_out_of({name: Recording(name, []) for name in ("a", "b")}).on_health({}, snapshot)
    assert made == [True]


def test_an_output_without_threads_starts_none():
    threads = ThreadGroup(threading.Event())
    before = threading.enumerate()
    fan_out_of({"counters": Output()}).start(threads)
    assert set(threading.enumerate()) <= set(before)
