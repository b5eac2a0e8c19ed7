"""Browser for the tests of pages: Debian's Chromium, with time for a busy machine."""

import contextlib

from playwright.sync_api import expect, sync_playwright

PATIENCE_MS = 60_000
"""What is expected of a page may take so long; Playwright waits for 5 s otherwise."""

expect.set_options(timeout=PATIENCE_MS)


@contextlib.contextmanager
def chromium():
    """Start the browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()
