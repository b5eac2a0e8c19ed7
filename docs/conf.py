"""Sphinx configuration: Markdown pages, checked references, no network."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from monitor import __version__  # noqa: E402

project = "clap-monitor"
author = "The clap-monitor developers"
copyright = author  # noqa: A001 - Sphinx reads this name
version = release = __version__

extensions = ["myst_parser"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
exclude_patterns = ["_build", "*.in.md"]

html_theme = "furo"
html_title = "clap-monitor"
html_show_sourcelink = False
html_static_path: list[str] = []

nitpicky = True
