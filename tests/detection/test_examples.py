"""Examples: as a document, in the state directory, and damaged."""

import json
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.daemon.control_protocol import MOST_BYTES
from monitor.detection.examples import (
    MOST_EXAMPLES,
    MOST_RIVALS,
    Examples,
    added,
    as_rivals,
    examples_of,
    without_rival,
)
from monitor.detection.examples_file import read_examples, store_examples, stored_examples, write_examples
from monitor.detection.quantised import quantised
from monitor.system.bounded_read import DamagedError
from monitor.types import ConfigError


def some(count=2, *, label="bell", identity="abc", dimension=8, seed=0, **changes):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    origins = tuple(f"{seed}-{place}.wav" for place in range(count))
    return Examples(
        **{"label": label, "identity": identity, "rows": quantised(rows), "origins": origins} | changes
    )


def same(one, other):
    return one.document() == other.document()


def test_a_document_is_read_as_it_was_written():
    document = json.loads(json.dumps(some(5).document()))
    assert same(examples_of(document), some(5))
    assert np.linalg.norm(examples_of(document).embeddings, axis=1) == pytest.approx(np.ones(5), abs=1e-3)


def test_as_many_as_there_may_be_fit_into_a_request_of_the_control_socket():
    whole = added(
        some(MOST_EXAMPLES, dimension=512, origins=("x" * 120,) * MOST_EXAMPLES),
        as_rivals(some(MOST_RIVALS, dimension=512, origins=("x" * 120,) * MOST_RIVALS, seed=1)),
    )
    assert len(json.dumps(whole.document())) < MOST_BYTES - 4096


def test_new_examples_are_added_and_the_oldest_dropped():
    assert added(None, some()).origins == some().origins
    assert added(some(2, seed=1), some(1, seed=2)).origins == ("1-0.wav", "1-1.wav", "2-0.wav")
    many = added(some(MOST_EXAMPLES, seed=1), some(2, seed=2))
    assert (len(many.origins), many.origins[-1], many.origins[0]) == (MOST_EXAMPLES, "2-1.wav", "1-2.wav")


def test_rivals_go_with_the_examples_or_alone_the_oldest_are_dropped_and_one_is_taken_back():
    both = added(some(2), as_rivals(some(1, seed=1)))
    assert (both.origins, both.rival_origins) == (("0-0.wav", "0-1.wav"), ("1-0.wav",))
    assert both.fingerprint not in {some(2).fingerprint, some(3).fingerprint}
    alone = as_rivals(some(3))
    assert same(examples_of(json.loads(json.dumps(alone.document()))), alone)
    assert len(added(alone, as_rivals(some(MOST_RIVALS, seed=2))).rivals) == MOST_RIVALS
    rest = without_rival({"bell": both, "dog": alone}, "bell", "1-0.wav")
    assert same(rest["bell"], some(2))
    only = as_rivals(some(1, seed=1))
    assert without_rival({"bell": only}, "bell", "1-0.wav") == {}
    assert without_rival({"bell": only}, "bell", "another.wav") == {"bell": only}


def test_the_same_example_is_not_repeated():
    assert same(added(some(3), some(3)), some(3))


def test_examples_of_another_checkpoint_are_replaced():
    new = some(1, identity="other")
    assert added(some(3), new) is new
    wider = some(1, dimension=9)
    assert added(some(3), wider) is wider


def test_the_fingerprint_is_of_the_embeddings():
    assert some(seed=1).fingerprint != some(seed=2).fingerprint
    assert some().fingerprint == some(label="chime").fingerprint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema is not 1"),
        ({"label": "../evil"}, "identifier of a label"),
        ({"label": "bell\n"}, "identifier of a label"),
        ({"checkpoint": 3}, "identity of a checkpoint"),
        ({"examples": []}, "must be a list of 1 to 32 entries"),
        ({"examples": [{"origin": "a", "embedding": "AAAA"}] * 33}, "must be a list of 1 to 32 entries"),
        ({"examples": [3]}, r"examples\[0\] is not a mapping"),
        ({"examples": [{"origin": 3, "embedding": "AAAA"}]}, "origin is not text"),
        ({"examples": [{"origin": "a", "embedding": "ä"}]}, r"examples\[0\].embedding is not base64"),
        ({"examples": [{"origin": "a", "embedding": "AAAA"}]}, "16-bit numbers"),
        ({"examples": [{"origin": "a", "embedding": "AAAAAA=="}]}, "not a unit vector: its length is 0"),
        ({"examples": [{"origin": "a", "embedding": 7}]}, "is not an embedding"),
    ],
)
def test_a_damaged_document_is_refused_with_its_fault(change, words):
    with pytest.raises(DamagedError, match=words):
        examples_of(some().document() | change)


def test_embeddings_of_two_lengths_are_refused():
    document = some(1).document()
    document["examples"] += some(1, dimension=9).document()["examples"]
    with pytest.raises(DamagedError, match="differ in length"):
        examples_of(document)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_anything_else_is_refused(document):
    with pytest.raises(DamagedError):
        examples_of(document)


def test_the_state_directory_returns_what_was_stored(tmp_path):
    store_examples(tmp_path, some())
    store_examples(tmp_path, some(label="chime"))
    found = stored_examples(tmp_path, "abc", 8)
    assert sorted(found) == ["bell", "chime"]
    assert same(found["bell"], some())
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "examples").iterdir()] == [0o600, 0o600]


def test_no_directory_holds_no_examples(tmp_path):
    assert stored_examples(tmp_path, "abc", 8) == {}


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        (
            some(identity="other"),
            "was learned with another checkpoint; left out: run `clap-monitor learn bell`",
        ),
        (some(dimension=9), "was learned with another checkpoint"),
    ],
)
def test_examples_of_another_checkpoint_are_left_out_and_said(tmp_path, caplog, examples, words):
    store_examples(tmp_path, examples)
    caplog.set_level(logging.WARNING)
    assert stored_examples(tmp_path, "abc", 8) == {}
    assert words in caplog.text


def test_a_damaged_or_renamed_file_is_left_out_and_said(tmp_path, caplog):
    store_examples(tmp_path, some())
    folder = tmp_path / "examples"
    (folder / "bell.json").rename(folder / "chime.json")
    (folder / "noise.json").write_text("{")
    (folder / "dir.json").mkdir()
    assert stored_examples(tmp_path, "abc", 8) == {}
    assert "chime.json: holds examples of bell; left out" in caplog.text
    assert "noise.json: not a file of examples: is not JSON" in caplog.text
    assert "dir.json: not a file of examples: is a directory" in caplog.text


def test_a_file_goes_from_one_home_to_another(tmp_path):
    write_examples(tmp_path / "bell.clap", some())
    assert same(read_examples(tmp_path / "bell.clap"), some())
    with pytest.raises(ConfigError, match="No such file"):
        read_examples(tmp_path / "missing.json")
