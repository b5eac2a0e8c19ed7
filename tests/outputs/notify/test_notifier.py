import base64
import contextlib
import logging
import math
import threading
import time

import pytest

from monitor.config import LabelConfig, NotifyConfig, UnusualLabel
from monitor.outputs.notify import notifier
from monitor.outputs.notify.apprise_worker import redacted
from monitor.outputs.notify.notifier import Notifier
from monitor.outputs.notify.send import UNKNOWN_ADDRESS, send
from tests.support.broker import PATIENCE, eventually
from tests.support.command_line import ROOT
from tests.support.events import ended, event
from tests.support.http_receiver import WebHook


def label(title, *, clips=False):
    return LabelConfig(id="dog", name=title, prompts=("a dog barking",), clips=clips)


def problems(wrong):
    """Return a snapshot, as a callable, with problems by what has them."""
    return lambda: {"problems": [{"what": what, "why": why} for what, why in wrong.items()]}


def config(**keys):
    return NotifyConfig(name="phone", url_env="URL", **keys)


@pytest.fixture
def web_hook():
    with WebHook() as hook:
        yield hook


@contextlib.contextmanager
def running(notifier):
    thread = threading.Thread(target=notifier.run)
    thread.start()
    try:
        yield notifier
    finally:
        notifier.close()
        thread.join(2 * PATIENCE)
        assert not thread.is_alive()


def soon():
    give_up_at = time.monotonic() + PATIENCE
    return lambda: give_up_at


def request(url, **more):
    return {"url": url, "title": "Dog", "body": "porch", "kind": "info", "clip": None} | more


class FakeWorker:
    """Stands in for `send`: records requests, and fails as long as it has troubles."""

    def __init__(self, *troubles):
        self.troubles = list(troubles)
        self.requests = []

    def __call__(self, request, give_up_at):
        assert give_up_at() > time.monotonic()
        if self.troubles:
            return self.troubles.pop(0)
        self.requests.append(request)
        return None


def test_an_event_is_notified_with_label_source_and_time(web_hook):
    with running(Notifier(config(), web_hook.url("secret"))) as phone:
        phone.on_event(event("dog", at=1_795_435_203.4), label("Dog bark"))
        eventually(lambda: web_hook.letters)
    when = time.strftime("%H:%M:%S", time.localtime(1_795_435_203.4))
    told = web_hook.letters[0]
    assert (told["title"], told["message"]) == ("Dog bark", f"porch, {when}, score 0.83")
    assert (told["type"], told["attachments"]) == ("info", [])
    assert web_hook.paths == ["/secret"]
    assert (phone.sent, phone.failed, phone.dropped, phone.held, phone.trouble) == (1, 0, 0, 0, None)


def test_of_an_unusual_sound_it_says_what_it_is_like():
    worker = FakeWorker()
    with running(Notifier(config(), "json://x", send=worker)) as phone:
        phone.on_event(event("unusual", like=("glass breaking", "a door")), UnusualLabel())
        eventually(lambda: phone.sent == 1)
    assert worker.requests[0]["title"] == "Unusual sound"
    assert worker.requests[0]["body"].splitlines()[1] == "like glass breaking; a door"


def test_events_that_do_not_match_are_neither_notified_nor_held_back():
    worker = FakeWorker()
    with running(Notifier(config(labels=("cat",)), "json://x", send=worker)) as phone:
        phone.on_event(event("dog"), label("Dog"))
        phone.on_event(event("cat"), label("Cat"))
        phone.on_event(ended(event("cat")), label("Cat"))
        eventually(lambda: phone.sent == 1)
    assert [told["title"] for told in worker.requests] == ["Cat"]
    assert phone.held == 0


def test_held_events_are_one_line_of_the_next_message():
    worker = FakeWorker()
    with running(Notifier(config(cooldown_seconds=3600), "json://x", send=worker)) as phone:
        phone.on_event(event("dog"), label("Dog"))
        eventually(lambda: phone.sent == 1)
        phone.on_event(event("dog", number=2), label("Dog"))
        phone.on_event(event("dog", number=3), label("Dog"))
        eventually(lambda: phone.held == 2)
        phone.on_event(event("cat"), label("Cat"))
        eventually(lambda: phone.sent == 2)
    assert worker.requests[1]["title"] == "Cat"
    assert worker.requests[1]["body"].splitlines()[1].endswith(": Dog (2 times)")


def test_quiet_hours_hold_back_everything():
    worker = FakeWorker()
    with running(Notifier(config(quiet_hours=("00:00-24:00",)), "json://x", send=worker)) as phone:
        phone.on_event(event("dog"), label("Dog"))
        phone.on_health({}, problems({"porch": "hears nothing"}))
        eventually(lambda: phone.held == 1)
    assert worker.requests == []


def test_after_quiet_hours_one_message_lists_the_held_events(monkeypatch):
    worker = FakeWorker()
    now = [0]
    monkeypatch.setattr("time.time", lambda: float(now[0]))  # the wall clock of this process
    hours = time.strftime("%H:%M", time.localtime(0)), time.strftime("%H:%M", time.localtime(3600))
    with running(Notifier(config(quiet_hours=("-".join(hours),)), "json://x", send=worker)) as phone:
        phone.on_event(event("dog"), label("Dog"))
        phone.on_event(event("dog", number=2), label("Dog"))
        eventually(lambda: phone.held == 2)
        now[0] = 3600
        eventually(lambda: phone.sent == 1)
    assert [told["title"] for told in worker.requests] == ["Quiet hours are over"]
    assert worker.requests[0]["body"] == f"Held back since {hours[0]}: Dog (2 times)"


def test_a_clip_is_attached_when_it_is_ready(tmp_path, web_hook):
    clip = tmp_path / "clip.flac"

    def find(_):
        return clip if clip.exists() else None

    with running(Notifier(config(clip=True), web_hook.url(), find_clip=find, clip_seconds=60.0)) as phone:
        phone.on_event(event("dog"), label("Dog", clips=True))
        phone.on_event(event("cat"), label("Cat", clips=False))
        eventually(lambda: web_hook.titles == ["Cat"])
        clip.write_bytes(b"fLaC...")
        eventually(lambda: web_hook.titles == ["Cat", "Dog"])
    (attached,) = web_hook.letters[1]["attachments"]
    assert (attached["filename"], base64.b64decode(attached["base64"])) == ("clip.flac", b"fLaC...")


def test_a_clip_that_never_comes_is_not_waited_for_forever(monkeypatch):
    monkeypatch.setattr(notifier, "CLIP_SECONDS", 0.0)
    worker = FakeWorker()
    with running(Notifier(config(clip=True), "json://x", clip_seconds=0.3, send=worker)) as phone:
        phone.on_event(event("dog"), label("Dog", clips=True))
        eventually(lambda: phone.sent == 1)
    assert worker.requests[0]["clip"] is None


def test_a_failure_is_logged_once_counted_and_tried_again(monkeypatch, caplog):
    monkeypatch.setattr(notifier, "FIRST_DELAY", 0.05)
    worker = FakeWorker("refused", "refused", "no answer in time")
    with caplog.at_level(logging.INFO), running(Notifier(config(), "json://x", send=worker)) as phone:
        phone.on_event(event("dog"), label("Dog"))
        eventually(lambda: phone.sent == 1)
    assert [told["title"] for told in worker.requests] == ["Dog"]
    assert (phone.failed, phone.trouble) == (3, None)
    assert [record.getMessage() for record in caplog.records] == [
        "notify phone: refused",
        "notify phone: no answer in time",
        "notify phone: works again",
    ]


def test_waiting_messages_are_bounded_and_dropped_ones_end_up_in_the_digest(monkeypatch):
    monkeypatch.setattr(notifier, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(notifier, "LONGEST_DELAY", 0.01)
    worker = FakeWorker(*["refused"] * 1_000_000)
    with running(Notifier(config(cooldown_seconds=0), "json://x", send=worker)) as phone:
        for number in range(notifier.MAX_WAITING + 7):
            phone.on_event(event("dog", number=number), label("Dog"))
        eventually(lambda: phone.dropped == 7)
        worker.troubles.clear()
        eventually(lambda: phone.sent == notifier.MAX_WAITING)
    assert phone.held == 7
    assert worker.requests[0]["body"].endswith(": Dog (7 times)")


def test_an_old_message_is_dropped(monkeypatch):
    monkeypatch.setattr(notifier, "KEEP_SECONDS", 0.3)
    worker = FakeWorker("refused")
    with running(Notifier(config(), "json://x", send=worker)) as phone:
        phone.on_event(event("dog"), label("Dog"))
        eventually(lambda: phone.dropped == 1)
    assert (worker.requests, phone.held) == ([], 1)


def test_a_problem_and_its_end_are_notified():
    worker = FakeWorker()
    quick = config(labels=(), health_after_seconds=0)
    with running(Notifier(quick, "json://x", send=worker)) as phone:
        phone.on_health({}, problems({"porch": "offline: device lost"}))
        eventually(lambda: phone.sent == 1)
        phone.on_health({}, problems({}))
        eventually(lambda: phone.sent == 2)
    assert [(told["title"], told["body"], told["kind"]) for told in worker.requests] == [
        ("Trouble: porch", "offline: device lost", "warning"),
        ("porch works again", "porch works again", "success"),
    ]


def test_health_can_be_switched_off():
    worker = FakeWorker()
    with running(Notifier(config(health=False, health_after_seconds=0), "json://x", send=worker)) as phone:
        phone.on_health({}, problems({"porch": "hears nothing"}))
        phone.on_event(event("dog"), label("Dog"))
        eventually(lambda: phone.sent == 1)
    assert [told["title"] for told in worker.requests] == ["Dog"]


def test_waiting_messages_are_sent_at_shutdown():
    worker = FakeWorker()
    with running(Notifier(config(cooldown_seconds=0), "json://x", send=worker)) as phone:
        for number in range(5):
            phone.on_event(event("dog", number=number), label("Dog"))
    assert (phone.sent, phone.dropped) == (5, 0)


@pytest.mark.parametrize("behaviour", ["hang", "trickle"])
def test_at_shutdown_a_service_that_hangs_is_given_up_and_the_loss_is_logged(web_hook, caplog, behaviour):
    web_hook.behaviour = behaviour
    with running(Notifier(config(), web_hook.url())) as phone:
        phone.on_event(event("dog"), label("Dog"))
        eventually(lambda: web_hook.tries == 1)
    assert (phone.sent, phone.dropped) == (0, 1)
    assert "notify phone: 1 messages undelivered at shutdown" in caplog.text


def test_a_service_that_answers_a_byte_at_a_time_is_given_up(web_hook):
    web_hook.behaviour = "trickle"
    give_up_at = time.monotonic() + 4
    assert send(request(web_hook.url()), lambda: give_up_at) == "no answer in time"


def test_a_service_that_answers_without_end_cannot_fill_the_memory(web_hook):
    web_hook.behaviour = "flood"
    why = send(request(web_hook.url("t0psecret")), lambda: math.inf)
    assert why == "Notification service 'JSON' raised an exception."


ANSWERS = [
    "import sys; sys.exit(3)",
    "print('[1]')",
    "print('{}')",
    "print('{\"trouble\": ')",
    "print('[' * 100_000)",
    "import os; os.kill(os.getpid(), 9)",
    "print('x' * 10_000_000)",
]


@pytest.mark.parametrize("program", ANSWERS)
def test_an_invalid_answer_of_the_worker_is_a_failure_and_is_not_repeated(tmp_path, monkeypatch, program):
    (tmp_path / "sitecustomize.py").write_text(f"{program}\nimport os, sys; sys.stdout.flush(); os._exit(0)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    why = send(request("json://hunter2"), soon())
    assert why.startswith("the Apprise worker exited with code ")


def test_a_long_reason_in_any_script_is_complete(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nimport monitor.outputs.notify.apprise_worker as c\n"
        "c.deliver = lambda _: '\U0001f514' * 200\nc.main()\nos._exit(0)"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    assert send(request("json://x"), soon()) == "\U0001f514" * 200


def test_the_reason_of_a_refusal_does_not_contain_the_address(web_hook):
    web_hook.status = 401
    why = send(request(web_hook.url("t0psecret", user="me:hunter2@")), soon())
    assert "401" in why
    assert "t0psecret" not in why
    assert "hunter2" not in why


def test_the_reason_of_a_failed_connection_does_not_contain_the_address(web_hook):
    url = f"json://me:hunter2@localhost:{web_hook.port}/t0psecret"
    web_hook.__exit__()
    why = send(request(url), soon())
    assert "onnection" in why
    assert not [word for word in ("hunter2", "t0psecret", "localhost") if word in why]


def test_an_address_is_checked_without_sending_anything(web_hook):
    assert send({"url": web_hook.url()}, soon()) is None
    assert send({"url": "nosuch://hunter2"}, soon()) == UNKNOWN_ADDRESS
    assert web_hook.tries == 0


def test_a_sandbox_that_forbids_nice_does_not_prevent_sending(tmp_path, monkeypatch, web_hook):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\ndef nice(_): raise PermissionError(1, 'Operation not permitted')\nos.nice = nice\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    assert send(request(web_hook.url()), soon()) is None
    assert web_hook.titles == ["Dog"]


def test_nothing_is_imported_from_the_working_directory(tmp_path, monkeypatch, web_hook):
    (tmp_path / "json.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    assert send(request(web_hook.url()), soon()) is None


def test_text_in_any_script_is_delivered(web_hook):
    assert send(request(web_hook.url(), title="Türklingel 🔔", body="Küche"), soon()) is None
    assert (web_hook.letters[0]["title"], web_hook.letters[0]["message"]) == ("Türklingel 🔔", "Küche")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("tgram://123456789:AbC-dEf_gH/chat", "POST https://api/bot123456789:AbC-dEf_gH/send failed"),
        ("mailto://me:p%40ssw%C3%B6rd@example.org", "login with p@sswörd failed"),
        ("mailto://me:p%40ssw%C3%B6rd@example.org", "login with p%40ssw%C3%B6rd failed"),
        ("json://host/path?token=abcd1234", "failed: ABCD1234 is unknown"),
    ],
)
def test_a_reason_contains_no_part_of_the_address(url, said):
    text = redacted(said, url).lower()
    for secret in ("123456789", "abc-def", "p@ssw", "ssw%c3", "abcd1234", "sswörd"):
        assert secret not in text
    assert "failed" in text
