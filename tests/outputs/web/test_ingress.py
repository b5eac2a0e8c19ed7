"""Home Assistant's ingress: who comes that way counts as one with the token, and nobody else does."""

import json

import pytest
from playwright.sync_api import expect
from websockets.sync.client import connect

from tests.support.accessibility import serious_faults
from tests.support.broker import eventually
from tests.support.browser import chromium
from tests.support.ingress_proxy import PATH, IngressProxy
from tests.support.web_server import LISTEN_TOKEN, TOKEN, scores, serving, tone

HERE = {"ingress": True, "ingress_address": "127.0.0.1"}
BY_INGRESS = {"x_ingress_path": PATH, "x_forwarded_for": "192.168.1.20", "host": "homeassistant.example:8123"}
THRESHOLD = "/api/labels/dog/threshold"
NEW = {"threshold": 0.7}


def threshold(served):
    return served.ask("GET", "/api/labels").json["rows"][0]["threshold"]


@pytest.mark.parametrize("token", [None, "0123456789abcdef-token"], ids=["without token", "with token"])
def test_a_user_of_ingress_may_read_and_change_under_any_name_of_home_assistant(token):
    with serving(token, **HERE) as served:
        assert served.ask("GET", "/api/status", **BY_INGRESS).status == 200
        assert served.ask("PUT", THRESHOLD, NEW, **BY_INGRESS).status == 200
        session = served.ask("GET", "/api/session", **BY_INGRESS).json
    assert session == {"read": True, "write": True, "reason": None, "listen": False}


@pytest.mark.parametrize(
    ("web", "path"),
    [
        ({}, PATH),
        ({"ingress": True}, PATH),  # from another address than the Supervisor's
        (HERE, ""),
        (HERE, "/api/hassio_ingress/"),
        (HERE, "/sounds"),
        (HERE, f"{PATH}/../../x"),
        (HERE, f"{PATH}, {PATH}"),
    ],
)
def test_nobody_else_counts_as_a_user_of_ingress(web, path):
    with serving(**web) as served:
        asked = {**BY_INGRESS, "host": "192.168.1.7", "x_ingress_path": path}
        assert served.ask("GET", "/api/status", **asked).status == 401
        assert served.ask("PUT", THRESHOLD, NEW, **asked).status == 401
        assert served.ask("GET", "/", **BY_INGRESS | {"x_ingress_path": path}).status == 421
        assert threshold(served) == 0.5


def test_another_site_cannot_use_the_ingress_of_a_user():
    with serving(**HERE) as served:
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "https://evil.example", "sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
        ):
            assert served.ask("PUT", THRESHOLD, NEW, **BY_INGRESS, **headers).status == 403
        for headers in (
            {"origin": "http://homeassistant.example:8123"},
            {"origin": "https://home.example", "sec_fetch_site": "same-origin"},  # a proxy changed the host
        ):
            assert served.ask("PUT", THRESHOLD, NEW, **BY_INGRESS, **headers).status == 200


def test_a_user_of_ingress_needs_the_token_for_listening_as_everybody_else():
    with serving(listen=True, listen_token_env="NAME", **HERE) as served, tone(served):
        path, wanted = "/api/sources/crib/listen", {"authorization": f"Bearer {LISTEN_TOKEN}"}
        assert served.ask("GET", path, **BY_INGRESS).status == 401
        assert served.ask("GET", path, **BY_INGRESS, authorization=f"Bearer {TOKEN}").status == 403
        evil = {"origin": "https://evil.example"}
        assert served.ask("GET", path, **BY_INGRESS, **wanted, **evil).status == 403
        given = served.ask("POST", "/api/session", {"token": LISTEN_TOKEN}, **BY_INGRESS)
        assert given.json == {"read": True, "write": True, "reason": None, "listen": True}
        assert f"Path={PATH}" in given.headers["set-cookie"]
        served.control.arm(armed=False)
        assert served.ask("GET", path, **BY_INGRESS, **wanted).status == 409


def test_changes_by_ingress_are_rate_limited():
    with serving(**HERE) as served:
        answers = {served.ask("PUT", THRESHOLD, NEW, **BY_INGRESS).status for _ in range(60)}
    assert answers == {200, 429}


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(params=[(1300, 950), (390, 844)], ids=["desktop", "phone"])
def page(request, browser):
    """Return a page that must not complain, but of an answer that says no."""
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    complaints = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()
    assert [text for text in complaints if "404" not in text] == []


def check(page, frame):
    """Nobody is kept from using what is shown, and it fits."""
    assert serious_faults(page) == []
    assert frame.locator("html").evaluate("(html) => html.scrollWidth") <= page.viewport_size["width"]


def test_the_page_works_by_keyboard_in_the_frame_of_home_assistant(page, tmp_path):
    with serving(directory=tmp_path, **HERE) as served, IngressProxy(served.port) as home:
        page.goto(home.url)
        frame = page.frame_locator("iframe")
        expect(frame.locator(".link")).to_have_attribute("data-state", "live", timeout=60_000)
        served.live.on_scores(scores(dog=0.33))
        expect(frame.locator("[data-label=dog] .value")).to_have_text("0.33", timeout=60_000)
        frame.locator("[data-label=dog] [role=slider]").press("ArrowRight")
        eventually(lambda: threshold(served) > 0.5)
        check(page, frame)
        for view in ("Timeline", "Events", "Search", "Labels", "Health"):
            frame.get_by_role("navigation").get_by_role("link", name=view).press("Enter")
            expect(frame.get_by_role("heading", level=1)).to_have_text(view, timeout=60_000)
            check(page, frame)
        page.goto(f"{home.url}{PATH}/docs")
        expect(page.get_by_role("heading", level=1)).to_contain_text("clap-monitor", timeout=60_000)
        page.goto("about:blank")
    outside = [line for line in home.asked if f" {PATH}/" not in line and "favicon" not in line]
    assert outside == ["GET / HTTP/1.1"]


def test_set_up_in_the_frame_says_where_the_app_is_set_up(page, tmp_path):
    with serving(directory=tmp_path, **HERE) as served, IngressProxy(served.port) as home:
        page.goto(home.url)
        frame = page.frame_locator("iframe")
        frame.get_by_role("navigation").get_by_role("link", name="Health").press("Enter")
        frame.get_by_role("link", name="Set up again").press("Enter")
        where = "Settings > Apps > clap-monitor > Configuration"
        expect(frame.locator("main [role=alert]")).to_contain_text(where, timeout=60_000)
        check(page, frame)
        frame.get_by_role("link", name="Back to the monitor").press("Enter")
        expect(frame.get_by_role("heading", level=1)).to_have_text("Now", timeout=60_000)
        page.goto("about:blank")


def test_a_critical_fault_within_the_frame_is_found(page):
    page.set_content("""<iframe title="app" srcdoc="<html lang=en><input></html>"></iframe>""")
    expect(page.frame_locator("iframe").locator("input")).to_be_visible()
    assert ("critical", "label", [["input"]]) in serious_faults(page)


def test_the_live_stream_comes_through_as_a_web_socket():
    with serving(**HERE) as served, IngressProxy(served.port) as home:
        url = f"{home.url.replace('http', 'ws')}{PATH}/api/live/ws"
        with connect(url, origin=home.url, proxy=None) as live:
            assert json.loads(live.recv())["kind"] == "hello"
