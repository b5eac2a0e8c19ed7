"""`fleet --web` in a real browser, with a thousand nodes on a real broker."""

import time
import urllib.request

import pytest
from playwright.sync_api import expect

from tests.support.accessibility import faults
from tests.support.broker import Broker, eventually, free_port
from tests.support.browser import PATIENCE_MS, chromium
from tests.support.command_line import start
from tests.support.fleet_nodes import Speaker, event

pytestmark = pytest.mark.broker

NODES = 1000


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("broker")) as broker, Speaker(broker) as nodes:
        for number in range(NODES):
            nodes.introduce(f"n{number:04d}", at=time.time(), entities=11)
        nodes.say("n0007/status", "offline", retain=True)
        yield broker


@pytest.fixture(scope="module")
def url(broker, tmp_path_factory):
    port = free_port()
    address = ("--broker", f"{broker.host}:{broker.port}")
    process = start("fleet", *address, "--web", str(port), cwd=tmp_path_factory.mktemp("page"))
    assert f"the fleet is at http://127.0.0.1:{port}/" in process.stderr.readline()
    yield f"http://127.0.0.1:{port}/"
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture(scope="module")
def page(url):
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        complaints = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        expect(page.locator("output")).to_have_text(f"{NODES} of {NODES} shown")
        yield page
        assert complaints == []


def shown(page):
    return page.locator(".fleet tbody tr:not([hidden]) th")


def test_a_thousand_rows_are_filtered_and_changed_while_they_are_shown(page, broker):
    expect(page.locator("#counts")).to_have_text(
        "1000 nodes: 999 online, 1 without audio, 0 refuse the watchlist; "
        "11000 of 10000 entities of Home Assistant"
    )
    expect(page.get_by_text("Home Assistant drops 1000 entities")).to_be_visible()
    page.get_by_label("Only nodes without audio").check()
    expect(shown(page)).to_have_text(["n0007"])
    page.get_by_label("Only nodes without audio").uncheck()
    page.get_by_label("Name").fill("n099")
    expect(shown(page)).to_have_count(10)
    with Speaker(broker) as nodes:
        happened = event("n0995", "glass", label_name="Glass", started_at=time.time())
        nodes.say("n0995/porch/event", happened)
        page.get_by_label("Newest event").fill("glass")
        expect(shown(page)).to_have_text(["n0995"])
        nodes.say("n0995/status", "offline", retain=True)
        expect(page.locator("tr:not([hidden]) .state")).to_have_text(["offline"])
        nodes.say("n0995/status", "", retain=True)
        nodes.say("n0995/info", "", retain=True)
    expect(page.locator("output")).to_have_text(f"0 of {NODES - 1} shown")
    page.get_by_label("Newest event").fill("")
    page.get_by_label("Name").fill("")
    expect(shown(page)).to_have_count(NODES - 1)
    first, *others = shown(page).all_text_contents()
    assert (first, others) == ("n0007", sorted(others))  # which hears nothing


def test_axe_finds_no_fault(page):
    page.get_by_label("Name").fill("n000")
    assert faults(page) == []


def test_another_site_and_a_foreign_name_are_refused(url):
    def answer(path, **headers):
        request = urllib.request.Request(f"{url}{path}", headers=headers)  # noqa: S310 - our own
        try:
            return urllib.request.urlopen(request, timeout=60).status  # noqa: S310
        except urllib.error.HTTPError as error:
            return error.code

    assert answer("api/fleet") == 200
    assert answer("api/fleet", Host="evil.example") == 421
    assert eventually(lambda: answer("api/fleet", **{"sec-fetch-site": "cross-site"})) == 403
    assert answer("api/fleet", **{"x-forwarded-for": "10.0.0.1"}) == 403
