"""Delay of live listening: from a tone at the microphone to the moment a browser plays it.

A real monitor hears a virtual sound card, and a real Chromium opens the page and clicks to listen.  Then a
tone is played again and again, and the page itself is asked when its sound rises::

    python -m benchmarks.listen [--tones 20] [--picture listen.png]

The time of `pactl`, which starts the tone, counts as delay.  Exit 1 if a tone was heard after more than 2 s.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.support.broker import eventually, free_port
from tests.support.command_line import start
from tests.support.sound_card import plugged_in
from tests.support.web_server import LISTEN_TOKEN, answers

MOST_SECONDS = 2.0

_CONFIG = """
sources: [{{name: nursery, kind: microphone, device: {device}}}]
labels:
- {{id: baby_cry, name: Crying baby, prompts: [a baby crying]}}
- {{id: smoke_alarm, name: Smoke alarm, prompts: [a smoke alarm beeping]}}
- {{id: dog_bark, name: Barking dog, prompts: [a dog barking]}}
web: {{enabled: true, port: {port}, listen: true, listen_token_env: LISTEN}}
"""

_HEARD = """async (loud) => {
    const { heardLevel } = await import("/static/listen.js");
    while ((heardLevel() ?? -100) > -50 !== loud) await new Promise((resolve) => setTimeout(resolve, 5));
    return Date.now() / 1000;
}"""
"""Waits until what the page plays is loud, or silent, and tells when."""


def begin_to_listen(page: Page, url: str) -> None:
    """Open the page, and listen as a person does."""
    page.goto(url)
    page.get_by_role("button", name="Listen").click()
    page.get_by_role("textbox", name="Token").fill(LISTEN_TOKEN)
    page.get_by_role("dialog").get_by_role("button", name="Unlock").click()
    page.get_by_text("Somebody is listening to nursery.").wait_for()


def measure(tones: int, picture: Path | None) -> list[float]:
    """Return the delay of each tone in seconds."""
    delays = []
    with (
        tempfile.TemporaryDirectory() as place,
        plugged_in() as card,
        sync_playwright() as playwright,
    ):
        port = free_port()
        (Path(place) / "monitor.yaml").write_text(_CONFIG.format(device=card.microphone, port=port))
        monitor = start(
            "run",
            "--config",
            "monitor.yaml",
            cwd=Path(place),
            env={**card.environment, "LISTEN": LISTEN_TOKEN},
        )
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        try:
            eventually(lambda: answers(port), 120)
            page = browser.new_page(viewport={"width": 1180, "height": 760})
            page.set_default_timeout(60_000)
            begin_to_listen(page, f"http://127.0.0.1:{port}/")
            page.evaluate(_HEARD, False)
            for number in range(tones):
                time.sleep(1 + number % 7 / 7)
                began = time.time()
                card.hum()
                delays.append(page.evaluate(_HEARD, True) - began)
                if picture is not None and number == 1:
                    time.sleep(4)
                    page.screenshot(path=picture)
                card.hush()
                page.evaluate(_HEARD, False)
        finally:
            browser.close()
            monitor.terminate()
            monitor.communicate(timeout=30)
    return delays


def main() -> int:
    """Measure, and print the delays."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tones", type=int, default=20)
    parser.add_argument("--picture", type=Path, help="also take a picture of the page that listens")
    arguments = parser.parse_args()
    delays = measure(arguments.tones, arguments.picture)
    worst = max(delays)
    print(
        f"{len(delays)} tones, heard after {min(delays):.2f} to {worst:.2f} s, "
        f"median {statistics.median(delays):.2f} s; {MOST_SECONDS:g} s are allowed"
    )
    return int(worst > MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
