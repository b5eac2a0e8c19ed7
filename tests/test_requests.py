"""Changes that are asked for while the monitor runs, with a control plane that only notes them."""

import logging

from monitor.outputs.commands import Arm, RemoveLabel
from monitor.requests import SIZE, Requests
from monitor.types import ConfigError


class Noted:
    """Notes what it is asked for; refuses to remove."""

    def __init__(self):
        self.done = []

    def arm(self, *, armed):
        self.done.append(armed)

    def remove_label(self, label):
        raise ConfigError(f"{label}: there is no such label")

    def reload(self):
        self.done.append("reload")
        raise ConfigError("monitor.yaml:1: is no configuration")


def run(*asked):
    """Ask, run to the end; return the requests, what was done and what was refused."""
    control, refusals = Noted(), []
    requests = Requests(control, lambda topic, why: refusals.append((topic, why)))
    for ask in asked:
        ask(requests)
    requests.close()
    requests.run()
    return requests, control.done, refusals


def test_what_is_asked_for_is_done_in_order_and_a_reload_that_fails_ends_nothing():
    _, done, refusals = run(
        lambda requests: requests.command("armed/set", Arm(armed=False)),
        lambda requests: requests.reload(),
        lambda requests: requests.command("armed/set", Arm(armed=True)),
    )
    assert done == [False, "reload", True]
    assert refusals == []


def test_every_refusal_is_counted_and_told_and_one_is_logged(caplog):
    caplog.set_level(logging.WARNING)
    requests, done, refusals = run(
        lambda requests: requests.command("labels/set", "is not JSON"),
        lambda requests: requests.command("labels/set", RemoveLabel("kettle")),
    )
    assert (requests.refused, done) == (2, [])
    assert refusals == [("labels/set", "is not JSON"), ("labels/set", "kettle: there is no such label")]
    assert "labels/set: refused, 1 in all: is not JSON" in caplog.text
    assert "kettle" not in caplog.text


def test_requests_beyond_the_box_make_room_and_are_counted():
    requests, done, _ = run(
        *[lambda requests: requests.command("armed/set", Arm(armed=True)) for _ in range(SIZE + 2)]
    )
    assert (requests.lost, len(done)) == (2, SIZE)
