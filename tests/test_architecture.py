"""The import order, checked."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "monitor"
OURS = {"monitor", "tests", "benchmarks", "training"}

ORDER = "types < system < config < audio < model < detection < memory < outputs, evaluation"
ORDER += " < archive, fleet < daemon < cli"
"""Who may import whom: each room only those to its left; those between two signs do not know each other."""

ONLY_IN = {
    "apprise": "outputs.notify.apprise_worker",
    "av": ("audio.sources.ffmpeg", "outputs.live.webm"),
    "cryptography": "fleet.signature",
    "huggingface_hub": "model.hub",
    "matplotlib": "evaluation.plot",
    "paho": ("outputs.mqtt.connection", "outputs.mqtt.paho_client"),
    "fastapi": "outputs.web",
    "fsspec": "archive.recording_list",
    "prometheus_client": "outputs.prometheus",
    "pyarrow": ("archive", "fleet"),
    "pydantic": ("config", "outputs.web"),  # FastAPI describes bodies by its models
    "ray": "archive.ray_engine",
    "rich": "cli.console",
    "safetensors": ("model", "detection.qualification_file"),
    "sed_eval": "evaluation.standard_metrics",
    "sed_scores_eval": "evaluation.standard_metrics",
    "sounddevice": "audio.sources.portaudio",
    "soundfile": "outputs.clips",
    "soxr": ("audio.resample", "outputs.clips.encoding"),
    "sqlite3": (
        "system.sqlite",
        "system.sqlite_copy",
        "system.sqlite_salvage",
        "outputs.mqtt.queue_file",
        "outputs.store",
    ),
    "starlette": "outputs.web",
    "torch": "model",
    "transformers": "model",
    "typer": "cli",
    "uvicorn": ("outputs.web.server", "outputs.web.connections"),
    "yaml": "config",
}

TWICE = {
    "app": ("cli", "outputs/web"),
    "bench": ("cli", "evaluation"),
    "connection": ("audio/sources/ffmpeg", "outputs/mqtt"),
    "events": ("detection", "outputs/web/routes"),
    "labels": ("config", "outputs/web/routes"),
    "loader": ("config", "model"),
    "progress": ("cli/console", "daemon"),
    "rate_limit": ("outputs/notify", "outputs/web"),
    "retention": ("outputs/clips", "outputs/store"),
    "run": ("cli", "cli/doctor"),
    "session": ("outputs/mqtt", "outputs/web/routes"),
}
"""Base names that two modules share, and where; every other module has a name of its own."""

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
                m if (ROOT / (m.replace(".", "/") + ".py")).exists() else node.module for m in modules
            )


FLOORS = {room: floor for floor, rooms in enumerate(ORDER.split(" < ")) for room in rooms.split(", ")}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_only_point_to_rooms_on_the_left(path):
    module = name_of(path)
    if not module:
        return
    room = module.split(".")[0]
    for name in set(imports_of(path)):
        if name == "monitor" or not name.startswith("monitor."):
            continue
        other = name.split(".")[1]
        assert other == room or FLOORS[other] < FLOORS[room], f"{module} imports {name}"


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


def test_no_base_name_stands_twice_but_those_of_the_list():
    places = {}
    for path in FILES:
        if path.name != "__init__.py":
            places.setdefault(path.stem, []).append(str(path.relative_to(PACKAGE).parent))
    shared = {name: tuple(sorted(rooms)) for name, rooms in places.items() if len(rooms) > 1}
    assert shared == TWICE


QUESTIONS = {"how", "what", "when", "where", "whether", "which", "who", "why"}


def test_the_first_word_of_a_docstring_is_a_noun_and_no_question():
    rooms = ("monitor", "tests", "benchmarks", "training")
    first = {
        path.relative_to(ROOT): (ast.get_docstring(ast.parse(path.read_text())) or "-").split()[0]
        for room in rooms
        for path in sorted((ROOT / room).rglob("*.py"))
    }
    assert not [str(path) for path, word in first.items() if word.strip(",.:?").lower() in QUESTIONS]


MOST_LINES = 300


def test_no_file_is_long():
    assert not [str(path) for path in FILES if len(path.read_text().splitlines()) > MOST_LINES]


def may_import(path):
    """Prefixes of our own packages that a test or a benchmark may import."""
    top, room, *_ = path.relative_to(ROOT).parts
    allowed = ["monitor", "tests.support"]
    if top == "benchmarks" or room == "benchmarks":
        allowed.append("benchmarks")  # a test of a benchmark stands in tests/benchmarks
    if room == "training":
        allowed.append("training")
    return allowed


def test_what_tests_and_benchmarks_share_stands_in_tests_support():
    for path in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py")]:
        for name in set(imports_of(path)):
            if name.split(".")[0] in OURS:
                allowed = any(f"{name}.".startswith(f"{prefix}.") for prefix in may_import(path))
                assert allowed, f"{path.relative_to(ROOT)} imports {name}"


CATCHES_EVERYTHING = {"system/boundary.py", "system/threads.py"}
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
