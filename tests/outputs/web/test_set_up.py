"""Set-up as a new user does it: a real browser, the real daemon, a sound card, a camera and a broker."""

import re
import stat

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from monitor.config import load
from tests.support.accessibility import serious_faults
from tests.support.broker import Broker, eventually, free_port
from tests.support.browser import PATIENCE_MS, chromium
from tests.support.command_line import ROOT, clap_monitor, start
from tests.support.rtsp import RtspServer
from tests.support.web_server import ask_plainly

CAMERA, BROKER = "the camera's secret", "the broker's secret"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def house(tmp_path, sound_card):
    """Return a monitor without a configuration, and the port of its page; a farm is heard in the room."""
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="int16")
    soundfile.write(tmp_path / "farm.wav", np.tile(samples[17 * rate : 36 * rate], 60), rate)
    port = free_port()
    process = start(
        "run", "--config", "config/monitor.yaml", "--web", port, cwd=tmp_path, env=sound_card.environment
    )
    playing = sound_card.play(tmp_path / "farm.wav")
    try:
        eventually(lambda: ask_plainly(port, "status") or process.poll() is not None)
        yield process, port
    finally:
        process.kill()
        process.communicate()
        playing.kill()
        playing.wait()


def fill(page, label, text):
    """Type into a field, as by hand."""
    page.get_by_label(label, exact=True).press("Control+A")
    page.keyboard.type(text)


def go_on(page, title):
    """Press Next; the next step has the focus, no serious fault, and fits."""
    page.get_by_role("button", name="Next").press("Enter")
    check(page, title)


def check(page, title):
    heading = page.get_by_role("heading", name=title)
    expect(heading).to_be_focused()
    assert serious_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_from_nothing_to_a_first_event_by_keyboard_on_a_phone(house, browser, tmp_path):
    process, port = house
    status = clap_monitor("status", "--state", "state", cwd=tmp_path)
    assert (status.returncode, ask_plainly(port, "health")) == (1, {"healthy": False})
    assert "as home: setup" in status.stdout
    assert "no source is configured, so no sound is detected" in status.stdout
    with (
        RtspServer(tmp_path, login=("digest", "viewer", CAMERA)) as camera,
        Broker(tmp_path, users={"home": BROKER}) as broker,
    ):
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"http://127.0.0.1:{port}/")
        check(page, "Where does it listen?")
        choose_sources(page, camera)
        go_on(page, "What does it listen for?")
        page.get_by_label("Pets").press("Space")
        go_on(page, "Where do events go?")
        choose_broker(page, broker)
        go_on(page, "What is it called?")
        fill(page, "Name of this monitor: a-z, 0-9, _ and -", "attic")
        expect(page.get_by_text("in the time zone")).to_be_visible()
        go_on(page, "What will be written")
        expect(page.locator("pre")).to_contain_text("password_file")
        page.get_by_role("button", name="Write and start").press("Enter")
        expect(page.get_by_text("It works:")).to_be_visible()
        assert page.evaluate("fetch('api/session').then((answer) => answer.json())")["write"]
        set_up_again(page, port)
        page.close()
    config = load(tmp_path / "config/monitor.yaml")
    assert (config.node, config.mqtt.host, len(config.sources)) == ("cellar", None, 1)
    for file in (tmp_path / "config").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    process.terminate()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "set-up: camera: connection" in log
    assert "set-up: broker: login" in log
    assert CAMERA not in log
    assert BROKER not in log


def set_up_again(page, port):
    """Name the running monitor anew, without camera and broker; it starts again by itself."""
    page.goto(f"http://127.0.0.1:{port}/#health")
    page.get_by_role("link", name="Set up again").press("Enter")
    page.get_by_label("Use virtual_microphone").press("Space")
    for title in ("What does it listen for?", "Where do events go?", "What is it called?"):
        go_on(page, title)
    fill(page, "Name of this monitor: a-z, 0-9, _ and -", "cellar")
    go_on(page, "What will be written")
    page.get_by_role("button", name="Write and start").press("Enter")
    expect(page.locator("#node")).to_have_text("cellar")
    expect(page.get_by_text("Make a sound")).to_be_visible()


def choose_sources(page, camera):
    """Choose the microphone that hears the farm, and a camera, whose password is wrong at first."""
    heard = page.locator("li", has_text="Use virtual_microphone").get_by_text(re.compile(r"^.[1-5]\d dBFS"))
    expect(heard).to_be_visible()
    page.get_by_label("Use virtual_microphone").press("Space")
    fill(page, "Name, such as nursery", "door")
    fill(page, "Address, such as rtsp://192.168.1.20/stream1", camera.url("aac"))
    fill(page, "User name", "viewer")
    fill(page, "Password", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("[data-state=fail]")).to_contain_text("refuses the username or the password")
    fill(page, "Password", CAMERA)
    page.keyboard.press("Enter")
    expect(page.get_by_text("door is added.")).to_be_visible()
    expect(page.locator(".findings")).to_contain_text("aac, 48000 Hz")
    expect(page.locator(".findings")).to_contain_text(re.compile(r"door: -\d+ dBFS"))


def choose_broker(page, broker):
    """Enter the broker, whose password is wrong at first."""
    page.get_by_label("Another one").press("Space")
    fill(page, "Host name or IP address", "127.0.0.1")
    fill(page, "Port", str(broker.port))
    fill(page, "User name", "home")
    fill(page, "Password", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("[data-state=fail]")).to_contain_text("says not authorised")
    fill(page, "Password", BROKER)
    page.keyboard.press("Enter")
    expect(page.get_by_text("The broker works.")).to_be_visible()
