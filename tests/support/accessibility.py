"""Accessibility of a page, checked by axe in all its frames."""

from axe_playwright_python.sync_playwright import Axe


def faults(page):
    """Return the impact, the rule and the elements of each fault of a page and of the frames in it.

    Axe looks only into the document into which it is loaded, so each frame is checked on its own.
    """
    options = {"resultTypes": ["violations"], "iframes": False}
    return [
        (each["impact"], each["id"], [node["target"] for node in each["nodes"]])
        for frame in page.frames
        for each in Axe().run(frame, options=options).response["violations"]
    ]


def serious_faults(page):
    """Return the faults that keep somebody from using a page."""
    return [fault for fault in faults(page) if fault[0] in {"serious", "critical"}]
