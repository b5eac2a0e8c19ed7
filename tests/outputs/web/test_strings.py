"""Texts of the page: one for each reason of the monitor, none missing and none unused."""

import re

import pytest

from monitor.detection.near_misses import MissReason
from monitor.outputs.live.listening import ListenEnd
from monitor.outputs.web.app import STATIC
from monitor.types import ClipOutcome, GateReason

TEXT = (STATIC / "strings.js").read_text()
CODE = "".join(file.read_text() for file in sorted(STATIC.glob("*.js")) if file.name != "strings.js")


def keys(block, indent):
    """Return the keys of an object of strings.js, which begins at this depth."""
    (body,) = re.findall(
        rf"^ {{{indent}}}{block}: \{{$(.*?)^ {{{indent}}}\}},$", TEXT, re.DOTALL | re.MULTILINE
    )
    return set(re.findall(rf"^ {{{indent + 2}}}(\w+):", body, re.MULTILINE))


@pytest.mark.parametrize(
    ("block", "indent", "reasons"),
    [
        ("gated", 4, GateReason),
        ("reasons", 2, MissReason),
        ("outcomes", 4, ClipOutcome),
        ("endReasons", 4, ListenEnd),
    ],
)
def test_every_reason_of_the_monitor_has_a_text(block, indent, reasons):
    assert keys(block, indent) == set(reasons)


@pytest.mark.parametrize(
    "section",
    [
        "session",
        "now",
        "listen",
        "events",
        "search",
        "learn",
        "labels",
        "replay",
        "lint",
        "target",
        "timeline",
        "health",
        "errors",
        "setup",
        "fleet",
    ],
)
def test_every_text_is_used_and_every_text_that_is_used_exists(section):
    assert keys(section, 2) == set(re.findall(rf"\bt\.{section}\.(\w+)", CODE))
