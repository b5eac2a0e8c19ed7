"""Access to set-up: without a token this machine, later whoever has the token, and never another site."""

import contextlib
import threading
from functools import partial

import pytest

from monitor.config import WebConfig
from monitor.daemon.first_run.set_up_service import SetUp
from monitor.outputs.web.server import Web
from monitor.outputs.web.set_up_page import SetUpContext, set_up_application
from tests.support.ingress_proxy import PATH
from tests.support.web_server import TOKEN, Served

CHOICES = {"node": "attic", "microphones": [{"name": "crib", "device": "USB"}], "packs": ["pets"]}


@contextlib.contextmanager
def setting_up(place, token=None, **keys):
    """Serve the first run, whose configuration is to stand in a directory."""
    config = WebConfig(enabled=True, port=0, **keys)
    web = Web(config, token, first_run=True)
    set_up = SetUp(place / "monitor.yaml", config, on_written=lambda: None)
    context = SetUpContext(web.access, set_up, lambda: {"state": "setup"})
    thread = threading.Thread(target=partial(web.serve, set_up_application(context)))
    thread.start()
    try:
        yield Served(web, None, None, None)
    finally:
        web.close()
        thread.join(120)
        assert not thread.is_alive()


@pytest.fixture
def first_run(tmp_path):
    with setting_up(tmp_path) as served:
        yield served


def test_this_machine_sets_up_once_and_then_only_with_the_token(first_run, tmp_path):
    assert first_run.ask("GET", "/").status == 200
    assert first_run.ask("GET", "/api/health").status == 503
    revision = first_run.ask("GET", "/api/setup").json["revision"]
    body = {"choices": CHOICES, "revision": revision}
    done = first_run.ask("POST", "/api/setup/apply", body)
    assert (done.status, done.json) == (200, {"written": True})
    token = (tmp_path / "web_token").read_text().strip()
    assert first_run.ask("GET", "/api/setup").status == 401
    assert first_run.ask("GET", "/api/setup", authorization=f"Bearer {token}").status == 200
    cookie = done.headers["set-cookie"].partition(";")[0]
    assert first_run.ask("GET", "/api/setup", cookie=cookie).status == 200
    again = first_run.ask("POST", "/api/setup/apply", body, cookie=cookie)
    assert (again.status, "another tab" in again.json["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x_forwarded_for": "10.0.0.7"}, 403),
        ({"host": "192.0.2.1:80"}, 403),
        ({"host": "evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
    ],
)
def test_nobody_else_sees_a_level_or_writes_without_the_token(first_run, tmp_path, headers, status):
    for method, path in (("GET", "/api/setup/levels"), ("POST", "/api/setup/preview")):
        assert first_run.ask(method, path, CHOICES if method == "POST" else None, **headers).status == status
    assert [*tmp_path.iterdir()] == []


def test_with_a_token_this_machine_needs_it_too(tmp_path):
    with setting_up(tmp_path, TOKEN) as served:
        assert served.ask("GET", "/api/setup").status == 401
        assert served.write("GET", "/api/setup").status == 200
        assert served.write("GET", "/api/setup", origin="http://evil.example").status == 403


def test_a_user_of_ingress_needs_no_token(tmp_path):
    by_ingress = {"x_ingress_path": PATH, "x_forwarded_for": "192.168.1.20", "host": "ha.example:8123"}
    with setting_up(tmp_path, TOKEN, ingress=True, ingress_address="127.0.0.1") as served:
        assert served.ask("GET", "/api/setup", **by_ingress).status == 200
        assert served.ask("GET", "/setup", **by_ingress).status == 200
        other = by_ingress | {"sec_fetch_site": "cross-site", "origin": "http://evil.example"}
        assert served.ask("POST", "/api/setup/preview", CHOICES, **other).status == 403
        assert served.ask("GET", "/api/setup").status == 401


def test_a_wrong_choice_is_refused_without_its_secrets(first_run):
    camera = {"name": "door", "url": "rtsp://user:pass#word@camera/x", "password": "hush"}
    answer = first_run.ask("POST", "/api/setup/camera", camera)
    assert [(each["check"], each["state"]) for each in answer.json] == [("address", "fail")]
    assert first_run.ask("POST", "/api/setup/broker", {"broker": {"host": "b", "port": 0}}).status == 422
    nothing = first_run.ask("POST", "/api/setup/preview", {"packs": ["pets"]})
    assert (nothing.status, nothing.json["detail"]) == (
        422,
        "sources: none is chosen: choose a microphone, or add a camera",
    )
    assert not any(secret in answer.body.decode() for secret in ("hush", "pass#word"))
