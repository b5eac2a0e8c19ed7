"""The import rules of the README, checked."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "monitor"

LAYERS = [
    {"types", "hours"},
    {"boundary"},
    {"bounded", "ranges"},
    {
        "threads",
        "deadman",
        "config",
        "geometry",
        "cores",
        "status",
        "systemd",
        "heap",
        "level",
        "memory",
        "repertoire",
        "whole",
        "misses",
        "histogram",
        "signals",
        "tally",
        "trouble_log",
        "command_queue",
        "outputs.leash",
        "outputs.write_ahead_log",
    },
    {"outputs.database", "wall_clock", "directories"},
    {"outputs.salvage"},
    {"outputs.reason_codes", "outputs.notices", "outputs.tls", "outputs.echo"},
    {"outputs.terms", "outputs.suspects", "outputs.refusals", "outputs.contention"},
    {"features", "watchlist", "events", "tower_config", "transfer", "hub_cache"},
    {"checkpoint"},
    {"hub_listing"},
    {
        "ambience",
        "hub",
        "scoring",
        "control",
        "buffer",
        "capture",
        "outputs.outbox",
        "outputs.broker",
        "outputs.delivery",
        "outputs.payload",
        "outputs.journal",
        "outputs.announced",
        "outputs.child",
        "outputs.restraint",
        "outputs.problems",
        "outputs.log_limit",
        "spectra",
    },
    {
        "model",
        "changes",
        "windows",
        "outputs.clips",
        "outputs.store",
        "outputs.columns",
        "outputs.terminal",
        "outputs.link",
        "outputs.faults",
        "outputs.backlog",
        "outputs.states",
        "outputs.partition",
        "outputs.holding",
        "outputs.commands",
        "outputs.scores",
        "outputs.hooks",
        "outputs.post",
    },
    {"outputs.ghosts"},
    {"outputs.discovery"},
    {
        "outputs.announcement",
        "outputs.settings",
        "outputs.reception",
        "outputs.notify",
        "outputs.courier",
        "outputs.live",
    },
    {"outputs.alerts", "outputs.metrics", "outputs.exporter", "outputs.watching"},
    {"hearing", "lint", "preflight", "zeroshot", "pipeline", "outputs.mqtt"},
    {"install", "liveness", "logs", "keeping", "tryout", "requests"},
    {"audience", "snapshot", "outputs.web"},
    {"serving", "doctor", "evaluation", "bench"},
    {"daemon"},
    {"console"},
    {"cli"},
]
"""Who may import whom: only what stands higher up; a package is one entry, free inside."""

ONLY_IN = {
    "apprise": "outputs.courier",
    "av": "capture.media",
    "huggingface_hub": "hub",
    "matplotlib": "evaluation.plot",
    "paho": "outputs.broker",
    "fastapi": "outputs.web",
    "prometheus_client": "outputs.metrics",
    "pydantic": ("config", "outputs.web"),  # FastAPI describes bodies by its models
    "rich": "console",
    "safetensors": "model",
    "sed_eval": "evaluation.standard",
    "sed_scores_eval": "evaluation.standard",
    "sounddevice": "capture.portaudio",
    "soundfile": "outputs.clips",
    "soxr": ("capture.resample", "outputs.clips.encoding"),
    "sqlite3": ("outputs.database", "outputs.journal", "outputs.salvage", "outputs.store"),
    "starlette": "outputs.web",
    "torch": "model",
    "transformers": "model",
    "typer": "cli",
    "uvicorn": ("outputs.web.server", "outputs.web.connections"),
    "yaml": "config",
}

FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__main__.py"]


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (
                m if (PACKAGE.parent / (m.replace(".", "/") + ".py")).exists() else node.module
                for m in modules
            )


def entry(module):
    """The name in the table: a package listed as a whole stands for its files."""
    return next(
        (name for level in LAYERS for name in level if module == name or module.startswith(name + ".")), None
    )


def level_of(module):
    return next(level for level, names in enumerate(LAYERS) if entry(module) in names)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_only_point_to_lower_layers(path):
    module = name_of(path)
    if module in {"", "outputs"}:
        return
    for name in set(imports_of(path)):
        if name == "monitor" or not name.startswith("monitor."):
            continue
        other = name.removeprefix("monitor.")
        if entry(other) != entry(module):
            assert level_of(other) < level_of(module), f"{module} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_third_party_package_stops_at_its_file(path):
    module = name_of(path)
    for name in set(imports_of(path)):
        owners = ONLY_IN.get(name.split(".")[0], module)
        owners = (owners,) if isinstance(owners, str) else owners
        assert any(f"{module}.".startswith(f"{owner}.") for owner in owners), f"{name} belongs in {owners}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def files_in_the_readme():
    """Yield the path of every file of the README's tree, which names several in one line."""
    lines = iter((PACKAGE.parent / "README.md").read_text().splitlines())
    while next(lines) != "monitor/":
        pass
    folders = []
    for line in lines:
        if "── " not in line:
            if not line.strip("│ "):
                continue
            return
        branch, _, rest = line.partition("── ")
        folders = folders[: len(branch) // 4]
        if folder := re.match(r"(\w+)/", rest):
            folders.append(folder[1])
        else:
            for name in re.match(r"(?:\w+\.py\s+)*", rest)[0].split():
                yield "/".join([*folders, name])


def test_every_module_stands_in_the_readme_where_it_is():
    assert sorted(files_in_the_readme()) == sorted(
        str(path.relative_to(PACKAGE)) for path in FILES if path.name != "__init__.py"
    )


CATCHES_EVERYTHING = {"boundary.py", "threads.py"}
"""What outside input makes a library raise becomes an edge's own error; a fault of ours ends the process."""


def test_only_the_boundary_and_the_threads_catch_every_exception():
    def catches_everything(handler):
        names = (
            {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
            if handler.type
            else set()
        )
        return handler.type is None or names & {"Exception", "BaseException"}

    found = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    }
    assert found == CATCHES_EVERYTHING
