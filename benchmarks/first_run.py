"""First run, timed: from an empty directory to the first event, in a browser, as a new user would.

    python -m benchmarks.first_run [--reading 10] [--images DIRECTORY]

Chromium, a virtual sound card, a real broker and the real monitor.  The user reads each step for some
seconds, types 5 characters a second, and claps when asked to: applause of the calibration kit, so this
measures time, not accuracy.  With ``--images``, pictures of the steps are written there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.broker import Broker, eventually, free_port
from tests.support.command_line import ROOT, start
from tests.support.sound_card import SoundCard, plugged_in
from tests.support.web_server import ask_plainly

TYPING_MS = 200
PATIENCE_MS = 300_000
CLAPPING = ROOT / "monitor/kit/event-clapping-00.opus"
PASSWORD = "swordfish-7"  # noqa: S105 - of a broker that lives for a minute


class User:
    """Reads, types and notes the time."""

    def __init__(self, page: Page, reading_seconds: float, images: Path | None) -> None:
        self.page = page
        self._reading_seconds = reading_seconds
        self._images = images
        self._began_at = time.monotonic()

    def note(self, what: str) -> None:
        """Print how long it took so far."""
        print(f"{time.monotonic() - self._began_at:6.1f} s  {what}", flush=True)

    def read(self, title: str, picture: str = "") -> None:
        """Wait for a step, and read it."""
        expect(self.page.get_by_role("heading", name=title)).to_be_visible(timeout=PATIENCE_MS)
        self.note(title)
        self.page.wait_for_timeout(1000 * self._reading_seconds)
        self.show(picture)

    def show(self, picture: str) -> None:
        """Write a picture of the page, if pictures are wanted."""
        if picture and self._images is not None:
            self.page.screenshot(path=self._images / f"{picture}.png", full_page=True)

    def fill(self, label: str, text: str) -> None:
        """Type into a field."""
        self.page.get_by_label(label, exact=True).fill("")
        self.page.get_by_label(label, exact=True).press_sequentially(text, delay=TYPING_MS)

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name).click()


def main() -> None:
    """Run it once, and print when each step was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reading", type=float, default=10.0, help="seconds that each step is read")
    parser.add_argument("--images", type=Path, help="directory for pictures of the steps")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="first-run-") as directory,
        plugged_in() as card,
        Broker(Path(directory), users={"home": PASSWORD}) as broker,
        sync_playwright() as playwright,
    ):
        place = Path(directory)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 820, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        user = User(page, arguments.reading, arguments.images)
        with monitor(place, card) as port:
            user.note("the page answers")
            page.goto(f"http://127.0.0.1:{port}/")
            set_up(user, card, place, broker.port)
        browser.close()


@contextmanager
def monitor(place: Path, card: SoundCard) -> Iterator[int]:
    """Start a monitor without a configuration; yield the port of its page once it answers."""
    port = free_port()
    process = start("run", "--config", "config/monitor.yaml", "--web", port, cwd=place, env=card.environment)
    try:
        eventually(lambda: ask_plainly(port, "status"))
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=60)


def set_up(user: User, card: SoundCard, place: Path, broker_port: int) -> None:
    """Go through all steps, and clap at the end."""
    samples, rate = soundfile.read(CLAPPING)
    soundfile.write(place / "clapping.wav", np.tile(samples[: round(6.4 * rate)], 3), rate)
    first = card.play(place / "clapping.wav")
    user.read("Where does it listen?", "setup-sources")
    user.page.get_by_label("Use virtual_microphone").check()
    first.kill()
    first.wait()
    user.press("Next")
    user.read("What does it listen for?")
    user.page.get_by_label("Care").check()
    user.press("Next")
    user.read("Where do events go?")
    user.page.get_by_label("Another one").check()
    user.fill("Host name or IP address", "127.0.0.1")
    user.fill("Port", str(broker_port))
    user.fill("User name", "home")
    user.fill("Password", PASSWORD)
    user.press("Test")
    expect(user.page.get_by_text("The broker works.")).to_be_visible(timeout=PATIENCE_MS)
    user.note("the broker is tested")
    user.show("setup-broker")
    user.press("Next")
    user.read("What is it called?")
    user.fill("Name of this monitor: a-z, 0-9, _ and -", "nursery")
    user.press("Next")
    user.read("What will be written")
    user.press("Write and start")
    expect(user.page.get_by_text("Make a sound")).to_be_visible(timeout=PATIENCE_MS)
    user.note("the monitor listens")
    clapping = card.play(place / "clapping.wav")
    expect(user.page.get_by_text("It works:")).to_be_visible(timeout=PATIENCE_MS)
    user.note(user.page.locator(".first p").inner_text())
    user.show("setup-first-event")
    clapping.kill()
    clapping.wait()


if __name__ == "__main__":
    main()
