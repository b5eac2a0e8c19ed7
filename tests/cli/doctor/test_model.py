"""Model check of doctor: what it says of the calibration, without measuring it."""

import shutil
from dataclasses import replace

import pytest

from monitor.cli.doctor.model import calibration
from monitor.config import Config, ModelConfig
from monitor.detection.qualification import Figure
from monitor.detection.qualification_file import write_qualification
from monitor.evaluation.calibration_kit import read_kit
from monitor.evaluation.qualified_engine import path_of, setup_of
from monitor.model.clap import Clap
from monitor.model.hub import STARTER
from monitor.types import ExitCode
from tests.support.qualifications import qualification


@pytest.fixture(scope="module")
def stripped(tmp_path_factory):
    place = shutil.copytree(STARTER, tmp_path_factory.mktemp("checkpoint") / "stripped")
    for name in ("detection.json", "repertoire.json"):
        (place / name).unlink(missing_ok=True)
    return Clap.load(str(place), dtype="float32")


def finding(model, state, **settings):
    config = Config(state=state, model=ModelConfig(checkpoint=model.name, **settings))
    return calibration(config, model, 48_000, 24_000)


def keep(model, state, **fields):
    made = replace(qualification(256, **fields), setup=setup_of(model, 48_000, 24_000, read_kit()))
    write_qualification(path_of(state, made.setup), made)


def test_a_checkpoint_without_a_calibration_is_a_warning_with_the_command(stripped, tmp_path):
    found = finding(stripped, tmp_path)
    assert (found.state, found.text) == ("warn", "not qualified for these windows yet")
    assert found.fix.startswith("clap-monitor qualify ")


def test_a_qualified_checkpoint_is_shown_with_its_figures(stripped, tmp_path):
    keep(stripped, tmp_path)
    found = finding(stripped, tmp_path)
    assert found.state == "ok"
    assert found.text.startswith(f"qualified with kit {read_kit().version}, 2023-11-1")
    assert found.text.endswith("AUROC 0.90, recall 0.90 / 0.50 at 20 / 10 dB")


def test_a_checkpoint_that_guesses_is_a_failure_unless_somebody_insists(stripped, tmp_path):
    keep(stripped, tmp_path, auroc=Figure(0.5, 0.4, 0.55))
    assert finding(stripped, tmp_path).exit_code == ExitCode.DATA
    assert finding(stripped, tmp_path, allow_unqualified=True).state == "ok"


def test_a_damaged_file_beside_the_checkpoint_is_a_failure(stripped, tmp_path):
    path = stripped.path / "qualification.safetensors"
    path.write_bytes(b"damaged")
    try:
        assert "not a qualification" in finding(stripped, tmp_path).text
    finally:
        path.unlink()


def test_the_starter_is_calibrated_as_it_is_shipped(tmp_path):
    found = finding(Clap.load("starter", dtype="float32"), tmp_path)
    assert (found.state, found.text[:7]) == ("ok", "shipped")
