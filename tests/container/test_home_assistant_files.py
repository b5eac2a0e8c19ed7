"""Files of the Home Assistant app: they fit the command that runs in it, and the rules of the Supervisor."""

import re
import struct
import tomllib

import pytest
import typer.main
import yaml

from monitor import __version__
from monitor.cli import app
from monitor.cli.home_assistant_app import INGRESS_PORT, Places
from monitor.config.panel import PanelOptions, PanelStream
from monitor.config.prompt_packs import PACKS
from monitor.config.validators import ID
from tests.support.command_line import ROOT
from tests.support.container_files import DIRECTORY, environment, instructions

REPOSITORY = ROOT / "homeassistant"
APP = REPOSITORY / "clap_monitor"
CONFIG = yaml.safe_load((APP / "config.yaml").read_text())
FOUND = instructions(APP / "Dockerfile")

KNOWN = {
    "name", "version", "slug", "description", "url", "stage", "arch", "homeassistant", "startup", "boot",
    "watchdog", "audio", "apparmor", "services", "map", "ingress", "ingress_port", "panel_icon",
    "panel_title", "panel_admin", "backup", "backup_exclude", "options", "schema",
}  # fmt: skip
"""Keys of the Supervisor's schema of an app that are in use here."""


def test_the_repository_holds_the_app_with_every_file_that_the_store_shows():
    assert yaml.safe_load((REPOSITORY / "repository.yaml").read_text())["name"]
    names = {path.name for path in APP.iterdir()}
    assert names >= {
        "config.yaml",
        "Dockerfile",
        "apparmor.txt",
        "DOCS.md",
        "CHANGELOG.md",
        "icon.png",
        "logo.png",
    }
    assert not names & {"build.yaml", "build.json"}


def test_its_configuration_is_one_of_2026():
    assert CONFIG.keys() <= KNOWN
    assert CONFIG["version"] == __version__
    assert f"## {__version__}" in (APP / "CHANGELOG.md").read_text()
    assert CONFIG["arch"] == ["aarch64", "amd64"]
    assert CONFIG["slug"] == APP.name
    assert CONFIG["services"] == ["mqtt:want"]
    assert CONFIG["audio"] is CONFIG["ingress"] is CONFIG["apparmor"] is True
    assert CONFIG["ingress_port"] == INGRESS_PORT
    assert f"[PORT:{INGRESS_PORT}]" in CONFIG["watchdog"]
    places = {"addon_config": Places().config, "media": Places().media}
    assert {each["type"] for each in CONFIG["map"]} == set(places)
    assert all(each["read_only"] is False for each in CONFIG["map"])


def test_its_panel_offers_what_the_command_reads():
    schema = CONFIG["schema"]
    assert schema.keys() == CONFIG["options"].keys() == PanelOptions.model_fields.keys()
    assert schema["streams"][0].keys() == PanelStream.model_fields.keys()
    assert schema["streams"][0]["name"] == f"match({ID})"
    assert schema["packs"] == [f"list({'|'.join(PACKS)})"]
    PanelOptions.model_validate(CONFIG["options"])
    texts = yaml.safe_load((APP / "translations/en.yaml").read_text())["configuration"]
    assert texts.keys() == schema.keys()
    assert all(text["name"] and text["description"] for text in texts.values())


def test_its_image_is_built_on_debian_without_build_from_and_says_that_it_is_an_app():
    text = (APP / "Dockerfile").read_text()
    assert "BUILD_FROM" not in text
    base = next(each.text for each in FOUND if each.name == "ARG")
    assert re.fullmatch(r"BASE=ghcr\.io/home-assistant/base-debian:[a-z0-9.-]+", base)
    assert "latest" not in base
    label = next(each.text for each in FOUND if each.name == "LABEL")
    assert 'io.hass.type="app"' in label
    assert f"BUILD_VERSION={__version__}" in [each.text for each in FOUND if each.name == "ARG"]


def test_its_command_is_understood_and_its_paths_are_those_of_the_command():
    program, name = next(each.words for each in FOUND if each.name == "ENTRYPOINT")
    assert program == "clap-monitor"
    typer.main.get_command(app).commands[name].make_context(
        name, ["--config", ".", "--data", ".", "--media", "."]
    )
    assert environment(FOUND)["CLAP_MONITOR_CONFIG"] == str(Places().effective)


def test_it_installs_the_debian_packages_of_the_container_and_the_tested_versions():
    def packages(found):
        text = next(each.text for each in found if each.name == "RUN" and "libportaudio2" in each.text)
        return re.search(r"--yes\s+(.*?)\s+&&", text)[1].split()

    assert packages(FOUND) == packages(instructions(DIRECTORY / "Containerfile"))
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["force-include"]["constraints.txt"] == "monitor/constraints.txt"
    assert "monitor/constraints.txt" in (APP / "Dockerfile").read_text()


@pytest.mark.parametrize(("name", "size"), [("icon.png", (128, 128)), ("logo.png", (250, 100))])
def test_its_pictures_have_the_size_of_the_store(name, size):
    content = (APP / name).read_bytes()
    assert struct.unpack(">II", content[16:24]) == size  # of the header of a PNG
    assert len(content) < 20_000


def test_its_profile_allows_what_it_keeps_and_names_itself():
    text = (APP / "apparmor.txt").read_text()
    assert f"profile {CONFIG['slug']} " in text
    for place in ("/config", "/data", "/media"):
        assert f"  {place}/** rwk," in text
    rules = [line for line in text.splitlines() if line.startswith("  ") and not line.strip().startswith("#")]
    assert all(line.endswith(",") for line in rules)
