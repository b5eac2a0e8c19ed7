"""Documentation: generated pages are current, links lead somewhere, and examples work."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
import typer.main
import yaml

from monitor.cli import app
from monitor.cli.app import with_empty_web
from monitor.config import Config, load
from monitor.types import ExitCode
from tests.support.command_line import ROOT, clap_monitor

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(*kinds):
    """Return (page and number, text) of every fenced block of these kinds."""
    return [
        pytest.param(found[2], id=f"{page.name}-{number}")
        for page in PAGES
        for number, found in enumerate(FENCE.finditer(page.read_text()))
        if found[1] in kinds
    ]


def commands():
    """Return every command line of clap-monitor in the examples, without its place and its pipe."""
    text = "\n".join(block.values[0] for block in blocks("sh")).replace("\\\n", " ")
    lines = [line.split(" #")[0] for line in text.splitlines() if "clap-monitor " in line]
    found = [re.search(r"(?:^|bin/|\| )clap-monitor (.+)", line) for line in lines]
    return sorted({match[1].strip() for match in found if match})


def test_generated_pages_say_what_the_code_says():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)


def test_every_exit_code_is_in_the_table_of_operations():
    text = (ROOT / "docs/operations.md").read_text()
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == {0, 1, 2, *ExitCode}


def test_every_module_that_the_architecture_names_exists():
    text = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"`([a-z_0-9/]+\.py)`", text))
    assert len(named) > 50
    assert not [
        name for name in named if not (ROOT / name).exists() and not any((ROOT / "monitor").rglob(name))
    ]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page):
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|#|mailto:", target):
            assert (page.parent / target.split("#")[0]).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_configuration_in_the_examples_is_accepted(text, tmp_path):
    found = yaml.safe_load(text)
    if not isinstance(found, dict) or not set(found) <= set(Config.model_fields):
        return  # of Home Assistant or Prometheus
    if "labels" not in found and re.search(r"labels: \[", text):
        names = {name for each in re.findall(r"labels: \[(.*?)\]", text) for name in each.split(", ") if name}
        found["labels"] = [{"id": name, "prompts": [name.replace("_", " ")]} for name in sorted(names)]
    path = tmp_path / "monitor.yaml"
    path.write_text(yaml.safe_dump(found))
    load(path)


@pytest.mark.parametrize("line", commands())
def test_every_command_in_the_examples_is_understood(line):
    name, *arguments = with_empty_web(shlex.split(line))
    typer.main.get_command(app).commands[name].make_context(name, arguments)


@pytest.mark.parametrize(
    "line", [line for line in commands() if "kitchen.flac" in line or line.startswith("check ")]
)
def test_an_example_that_needs_only_files_runs(line, tmp_path):
    shutil.copy(ROOT / "recordings" / "demo.flac", tmp_path / "kitchen.flac")
    shutil.copy(ROOT / "config" / "monitor.yaml", tmp_path / "monitor.yaml")
    arguments = shlex.split(line.replace("/etc/clap-monitor/", ""))
    done = clap_monitor(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
