"""Sentences read in a process of their own are the same, and so is what goes wrong."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from monitor.model.checkpoint import read
from monitor.model.hub import STARTER, resolve
from monitor.model.text_subprocess import SubprocessTextEncoder
from monitor.model.text_worker import local_text_encoder, serve
from monitor.model.towers import TextPlace
from monitor.types import ModelError

SENTENCES = ("a dog barking", "rain", "a long sentence about dogs that bark at night")
KINDS = (local_text_encoder, SubprocessTextEncoder)


@pytest.fixture(params=["torch", "onnx"])
def place(request):
    return TextPlace(request.param)


@pytest.fixture(scope="module")
def files():
    return read(resolve("starter", None))


@pytest.fixture
def far(files, place):
    reader = SubprocessTextEncoder(files, place, "starter")
    yield reader
    reader.close()


def test_far_and_near_are_the_same_and_what_is_said_of_them_comes_along(files, place, far, caplog):
    near = local_text_encoder(files, place, "starter").embed(SENTENCES)
    assert np.array_equal(far.embed(SENTENCES), near)
    assert not caplog.records
    assert far.embed(["dog " * 200]).shape == (1, 256)
    assert "prompt truncated to 77 of 202 tokens: dog dog" in caplog.text
    caplog.clear()
    assert far.embed(["snow"]).shape == (1, 256)
    assert not caplog.records


def test_a_child_that_was_killed_is_said_and_the_next_sentence_gets_another(far):
    far.embed(["rain"])
    child = far._child
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with pytest.raises(ModelError, match="the text encoder process exited with code -9"):
        far.embed(["snow"])
    assert far.embed(["snow"]).shape == (1, 256)


def test_closing_ends_the_child_and_it_comes_back(far):
    far.close()
    far.embed(["rain"])
    child = far._child
    far.close()
    assert child.returncode is not None
    assert far.embed(["rain"]).shape == (1, 256)
    assert far._child.pid != child.pid


def test_one_that_does_not_answer_in_time_is_ended(files):
    reader = SubprocessTextEncoder(files, TextPlace("torch"), "starter", limit_seconds=0.01)
    with pytest.raises(ModelError, match=r"the text encoder process did not answer within 0\.01 s"):
        reader.embed(["rain"])
    assert reader._child is None


def test_what_is_wrong_with_a_checkpoint_is_said_as_if_it_were_here(tmp_path, place):
    copy = tmp_path / "broken"
    shutil.copytree(STARTER, copy)
    vocabulary = json.loads((copy / "config.json").read_text())
    vocabulary["text_config"]["vocab_size"] = 17
    (copy / "config.json").write_text(json.dumps(vocabulary))
    said = []
    for kind in KINDS:
        reader = kind(read(copy), place, "broken")
        with pytest.raises(ModelError) as error:
            reader.embed(["rain"])
        said.append(str(error.value))
        reader.close()
    assert said[0] == said[1]
    assert str(copy) in said[0]


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_changed_since_are_not_read(tmp_path, kind, place):
    copy = tmp_path / "other"
    shutil.copytree(STARTER, copy)
    reader = kind(read(copy), place, "other")
    with (copy / "config.json").open("a") as file:
        file.write("\n")
    with pytest.raises(ModelError, match="has changed since it was loaded"):
        reader.embed(["rain"])


def test_the_service_itself_never_loads_what_reads_sentences(tmp_path):
    program = """
import sys
from pathlib import Path
from monitor.config import Config, LabelConfig
from monitor.detection.engine import load_engine
config = Config(labels=(LabelConfig(id="dog", prompts=("a dog barking",)),), state=Path(sys.argv[1]))
engine = load_engine(config, apart=True)
assert engine.model.embed_text(["a sentence nobody has asked for"]).shape == (1, 256)
engine.model.forget_text()
assert "transformers" not in sys.modules
"""
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", program, tmp_path]
    subprocess.run(command, check=True)


def test_each_line_is_answered_and_an_error_ends_nothing():
    def embed(sentences):
        if "bad" in sentences:
            raise ModelError("no such thing")
        return np.full((len(sentences), 2), 0.5, dtype=np.float32)

    answers = io.BytesIO()
    serve(embed, io.BytesIO(b'["bad"]\n["one", "two"]\n'), answers)
    answers.seek(0)
    assert json.loads(answers.readline()) == {"error": "no such thing", "warnings": []}
    assert json.loads(answers.readline()) == {"shape": [2, 2], "warnings": []}
    assert np.frombuffer(answers.read(), dtype=np.float32).tolist() == [0.5] * 4
