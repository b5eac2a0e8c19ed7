"""Qualifications: their files, and what they hold for."""

import json
import struct
from dataclasses import asdict, replace

import numpy as np
import pytest

from monitor.detection.qualification import Figure, number_format
from monitor.detection.qualification_file import read_qualification, write_qualification
from monitor.types import ModelError
from tests.support.qualifications import qualification


def test_a_file_holds_all_of_a_qualification(tmp_path):
    made = qualification()
    path = tmp_path / "qualifications/a.safetensors"
    write_qualification(path, made)
    read = read_qualification(path, 8)
    assert (read.setup, read.calibration, read.figures, read.made_at) == (
        made.setup,
        made.calibration,
        made.figures,
        made.made_at,
    )
    for name in ("embeddings", "kind_of", "prompts"):
        assert np.array_equal(getattr(read.cohort, name), getattr(made.cohort, name))
    assert read.cohort.kinds == ("dog", "door bell")
    assert read.cohort.norm().mean == pytest.approx(made.cohort.norm().mean)
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]


def test_the_norm_of_a_stored_cohort_is_that_of_its_embeddings():
    norm = qualification().cohort.norm()
    vectors = qualification().cohort.embeddings / 32_767
    directions = np.eye(8, dtype=np.float32)
    mean, deviation = norm.statistics(directions)
    assert mean == pytest.approx(vectors.mean(axis=0), abs=1e-4)
    assert deviation == pytest.approx(vectors.std(axis=0), abs=1e-4)


def test_no_file_is_no_qualification(tmp_path):
    assert read_qualification(tmp_path / "none.safetensors", 8) is None


def written(tmp_path):
    path = tmp_path / "a.safetensors"
    write_qualification(path, qualification())
    return path


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 40, 900, -1])
def test_a_file_that_was_cut_is_refused(tmp_path, kept):
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"a\.safetensors: not a qualification"):
        read_qualification(path, 8)


def test_a_file_of_another_checkpoint_is_refused(tmp_path):
    with pytest.raises(ModelError, match="the checkpoint's embeddings 16 numbers"):
        read_qualification(written(tmp_path), 16)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    path = written(tmp_path)
    with path.open("r+b") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(ModelError, match="is larger than"):
        read_qualification(path, 8)


def changed(path, change):
    """Change the JSON in a file."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    document = json.loads(header["__metadata__"]["qualification"])
    change(document)
    header["__metadata__"]["qualification"] = json.dumps(document)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.update(schema=2), "has version 2, but this program reads 1"),
        (lambda found: found["calibration"].update(scale=-1), "scale: -1 is not"),
        (lambda found: found["setup"].update(hop="x"), "setup: hop: 'x' is not"),
        (lambda found: found["setup"].update(identity=3), "identity: 3 is not text"),
        (lambda found: found["figures"].update(auroc=None), "auroc: None is not a mapping"),
        (lambda found: found["figures"]["recall"].update({"20": 1}), "recall: 1 is not a mapping"),
        (lambda found: found.update(made_at=None), "made_at: None is not"),
        (lambda found: found.update(kinds=["dog"]), "the tensors have the shapes"),
        (lambda found: found.update(kinds=3), "kinds: 3 is not a list"),
    ],
)
def test_a_document_that_is_wrong_is_refused_with_its_key(tmp_path, change, message):
    path = written(tmp_path)
    changed(path, change)
    with pytest.raises(ModelError, match=message):
        read_qualification(path, 8)


def test_embeddings_that_are_no_unit_vectors_are_refused(tmp_path):
    made = qualification()
    cohort = replace(made.cohort, embeddings=made.cohort.embeddings // 2)
    write_qualification(tmp_path / "a", replace(made, cohort=cohort))
    with pytest.raises(ModelError, match="are not unit vectors"):
        read_qualification(tmp_path / "a", 8)


def test_the_key_changes_with_everything_that_a_qualification_depends_on():
    setup = qualification().setup
    others = {"identity": "other", "length": 1, "hop": 1, "number_format": "int8", "kit": 2}
    assert others.keys() == asdict(setup).keys()
    keys = {setup.key, *(replace(setup, **{name: value}).key for name, value in others.items())}
    assert len(keys) == 6


def test_formats_of_16_bits_share_a_qualification():
    assert number_format("bfloat16") == number_format("float16")
    assert len({number_format(name) for name in ("float32", "bfloat16", "int8")}) == 3
    assert number_format("int8", "onnx") != number_format("int8")
    assert number_format("float32", "onnx") == number_format("float32")


@pytest.mark.parametrize(
    ("auroc", "guesses"), [(Figure(0.5, 0.45, 0.56), True), (Figure(0.57, 0.53, 0.63), False)]
)
def test_a_checkpoint_guesses_only_if_the_interval_says_so(auroc, guesses):
    assert qualification(auroc=auroc).guessing is guesses
