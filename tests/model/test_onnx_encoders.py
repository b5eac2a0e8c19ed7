"""The exported starter in ONNX Runtime: without torch, and never with the weights of another checkpoint."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from monitor.config import ModelConfig
from monitor.model.clap import Clap
from monitor.model.hub import STARTER
from monitor.model.self_test import sounds
from monitor.types import ModelError
from tests.support.command_line import ENVIRONMENT


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(STARTER, tmp_path / "copy")


def test_the_starter_is_as_in_torch_for_everything_that_belongs_to_a_checkpoint():
    ours, reference = Clap.load("starter", engine="onnx"), Clap.load("starter", engine="torch")
    assert ours.identity == reference.identity
    assert ours.logit_scale == pytest.approx(reference.logit_scale, rel=1e-6)
    windows = sounds(ours.mel_config.length, ours.mel_config.rate)
    assert np.abs(ours.embed_audio(windows) - reference.embed_audio(windows)).max() < 1e-5
    prompts = ["a dog barking", "Rain, \u00e9\U0001f415!", "dog " * 200]
    assert np.abs(ours.embed_text(prompts) - reference.embed_text(prompts)).max() < 1e-5


def test_more_threads_change_nothing():
    clap = Clap.configured(ModelConfig(engine="onnx", threads=2), apart=False)
    windows = sounds(clap.mel_config.length, clap.mel_config.rate)
    before = clap.embed_audio(windows)
    clap.use_threads(1)
    assert np.abs(clap.embed_audio(windows) - before).max() < 1e-5


def test_a_run_of_the_starter_imports_neither_torch_nor_transformers(tmp_path):
    program = """
import sys
from pathlib import Path
from monitor.config import Config, LabelConfig
from monitor.daemon import daemon
from monitor.evaluation.qualified_engine import load_qualified_engine
config = Config(labels=(LabelConfig(id="dog", prompts=("a dog barking",)),), state=Path(sys.argv[1]))
engine = load_qualified_engine(config)
assert engine.model.engine == "onnx"
print([name for name in ("torch", "transformers", "scipy", "onnx") if name in sys.modules])
"""
    command = [sys.executable, "-c", program, tmp_path]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["audio.onnx", "audio.onnx.data"])
def test_a_damaged_file_is_refused(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 255
    (copy / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name}: is damaged, or of another export"):
        Clap.load(str(copy), engine="onnx")


def test_a_damaged_text_encoder_is_refused_when_it_is_needed(copy):
    clap = Clap.load(str(copy), engine="onnx")
    (copy / "text.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"text\.onnx: is damaged"):
        clap.embed_text(["rain"])


def test_an_export_of_other_weights_is_refused_and_auto_uses_torch(copy, caplog):
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x3c")
    with pytest.raises(ModelError, match="its ONNX export is of another checkpoint, or of other weights"):
        Clap.load(str(copy), engine="onnx")
    assert Clap.load(str(copy)).engine == "torch"
    assert "torch is used" in caplog.text


DAMAGES = {
    "not JSON": "is damaged|not the manifest",
    '{"schema": 2}': "schema: 2, but this program reads 1",
    '{"schema": 1, "seconds": {"onnx": -1}}': "is damaged|seconds",
    '{"schema": 1, "logit_scale": "x"}': "logit_scale: 'x' is not a number",
}


@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_manifest_is_one_line(copy, content):
    (copy / "onnx.json").write_text(content)
    with pytest.raises(ModelError, match=DAMAGES[content]) as error:
        Clap.load(str(copy), engine="onnx")
    assert str(copy / "onnx.json") in str(error.value)


def test_a_manifest_names_no_file_elsewhere(copy):
    manifest = json.loads((copy / "onnx.json").read_text())
    manifest["tokenizer"] = "../tokenizer.json"
    (copy / "onnx.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="is not a file beside it"):
        Clap.load(str(copy), engine="onnx")


def test_a_checkpoint_without_an_export_is_refused_for_onnx_only(copy):
    (copy / "onnx.json").unlink()
    with pytest.raises(ModelError, match="is not exported for ONNX Runtime: run `clap-monitor export`"):
        Clap.load(str(copy), engine="onnx")
    assert Clap.load(str(copy)).engine == "torch"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dtype": "bfloat16"}, r"model\.dtype: bfloat16: the ONNX engine has float32 and int8"),
        ({"device": "cuda"}, r"model\.device: cuda: the ONNX engine runs on the CPU only"),
    ],
)
def test_what_the_engine_has_not_is_refused(settings, message):
    with pytest.raises(ModelError, match=message):
        Clap.configured(ModelConfig(engine="onnx", **settings))


def test_auto_takes_what_the_export_was_measured_to_be(copy):
    assert Clap.load(str(copy)).engine == "onnx"
    manifest = json.loads((copy / "onnx.json").read_text())
    manifest["seconds"] = {"onnx": 2.0, "torch": 1.0}
    (copy / "onnx.json").write_text(json.dumps(manifest))
    assert Clap.load(str(copy)).engine == "torch"
    assert Clap.load(str(copy), engine="onnx").engine == "onnx"
    assert Clap.load("starter", dtype="int8").engine == "torch"
