"""A checkpoint exported for ONNX Runtime: checked against torch before anything is put in place."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from monitor.config import ModelConfig
from monitor.evaluation.calibration_kit import read_kit
from monitor.evaluation.onnx_export import export
from monitor.evaluation.qualified_engine import setup_of
from monitor.model.checkpoint import read
from monitor.model.clap import Clap
from monitor.model.hub import STARTER
from monitor.model.onnx_manifest import read_manifest
from monitor.model.self_test import sounds
from monitor.types import ModelError, OutputError
from tests.support.checkpoints import TINY, build

SMALL_KIT = replace(read_kit(), cohort=read_kit().cohort[:4], labels=read_kit().labels[:3])
PROMPTS = ("a dog barking", "rain")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    directory = tmp_path_factory.mktemp("checkpoints") / "tiny"
    build(directory, TINY, pickled=True)
    (directory / "detection.json").write_bytes((STARTER / "detection.json").read_bytes())
    return directory


@pytest.fixture(scope="module")
def exported(tiny, tmp_path_factory):
    """Return an export in the place of an older one, of another checkpoint."""
    directory = tmp_path_factory.mktemp("exports") / "tiny"
    directory.mkdir()
    for name in ("onnx.json", "audio.onnx"):
        (directory / name).write_bytes((STARTER / name).read_bytes())
    return export(read(tiny), directory, kit=SMALL_KIT, int8=True)


def listing(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_an_export_runs_without_the_checkpoint_and_with_what_belongs_to_it(tiny, exported):
    reference = Clap.load(str(tiny), engine="torch")
    ours = Clap.load(str(exported.directory))
    assert ours.engine == "onnx"
    assert ours.identity == reference.identity
    assert (exported.directory / "detection.json").is_file()
    assert not (exported.directory / "pytorch_model.bin").exists()
    windows = sounds(ours.mel_config.length, ours.mel_config.rate)
    assert np.abs(ours.embed_audio(windows) - reference.embed_audio(windows)).max() < 1e-5
    assert np.abs(ours.embed_text(PROMPTS) - reference.embed_text(PROMPTS)).max() < 1e-5
    assert exported.manifest.cosine >= 0.99999
    assert exported.windows == 4


def test_it_runs_in_int8_as_well_with_a_calibration_of_its_own(exported):
    settings = ModelConfig(checkpoint=str(exported.directory), dtype="int8")
    rounded, exact = Clap.configured(settings, apart=False), Clap.load(str(exported.directory))
    assert (rounded.engine, rounded.dtype) == ("onnx", "int8")
    windows = sounds(exact.mel_config.length, exact.mel_config.rate)
    cosines = (rounded.embed_audio(windows) * exact.embed_audio(windows)).sum(axis=1)
    assert 0.99 <= cosines.min() < 0.99999
    assert 0.99 <= exported.manifest.int8.cosine < 0.99999  # less if sums overflow
    assert len({setup_of(clap, 1, 1, SMALL_KIT).key for clap in (rounded, exact)}) == 2
    with pytest.raises(ModelError, match="is not exported in int8: run `clap-monitor export"):
        Clap.load("starter", engine="onnx", dtype="int8")


def test_torch_cannot_run_it_and_says_so(exported):
    with pytest.raises(ModelError, match="is an ONNX export without weights for torch"):
        Clap.load(str(exported.directory), engine="torch")
    with pytest.raises(ModelError, match="the ONNX engine has float32 and int8"):
        Clap.configured(ModelConfig(checkpoint=str(exported.directory), dtype="bfloat16"))


def test_a_changed_small_file_of_an_export_is_refused_while_it_runs(exported, tmp_path):
    copy = shutil.copytree(exported.directory, tmp_path / "copy")
    clap = Clap.load(str(copy))
    (copy / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ModelError, match="has changed since it was loaded"):
        clap.embed_text(["rain"])


def test_an_export_that_differs_from_torch_changes_nothing(tiny):
    before = listing(tiny)
    with pytest.raises(ModelError, match=r"the ONNX export differs from torch: lowest cosine .* 2 is needed"):
        export(read(tiny), tiny, kit=SMALL_KIT, least_cosine=2)
    assert listing(tiny) == before


def test_a_directory_with_other_files_is_left_alone(tiny, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="is not empty and holds no export"):
        export(read(tiny), tmp_path, kit=SMALL_KIT)
    assert listing(tmp_path) == {"letter.txt": b"dear"}


def test_the_starters_weights_are_in_the_package_once():
    manifest = read_manifest(STARTER)
    assert sum((STARTER / name).stat().st_size for name in manifest.files if "onnx" in name) < 500_000
