"""Prompts that the checkpoint cannot tell apart are found, whatever its texts look like."""

import numpy as np
import pytest

from monitor.config import Config, LabelConfig
from monitor.evaluation import prompt_lint
from monitor.evaluation.prompt_lint import too_close


def labels(*prompts, against=()):
    return tuple(
        LabelConfig(id=f"label{place}", prompts=(text,), against=against)
        for place, text in enumerate(prompts)
    )


@pytest.fixture
def found(tmp_path):
    return lambda *prompts, **keys: too_close(Config(state=tmp_path, labels=labels(*prompts, **keys)))


def test_two_phrasings_of_one_sound_are_the_same(found):
    (line,) = found("a dog barking", "the sound of a dog barking", "rain falling on a roof")
    assert line.startswith(
        "labels[0].prompts: 'a dog barking' and labels[1].prompts: 'the sound of a dog barking'"
    )
    assert "are nearly the same to the model (" in line


def test_different_sounds_are_told_apart(found):
    assert found("a dog barking", "a baby crying", "glass breaking", "a rooster crowing") == []


def test_a_prompt_against_its_own_label_is_found(found):
    (line,) = found("a dog barking", against=("a barking dog",))
    assert "would hardly be detected" in line
    assert found("a dog barking", against=("rain falling on a roof",)) == []


def test_without_a_cohort_the_texts_themselves_are_compared(found, monkeypatch):
    monkeypatch.setattr(prompt_lint, "_cohort_norm", lambda _config, _model: None)
    assert len(found("a dog barking", "the sound of a dog barking", "rain falling on a roof")) == 1


def test_a_narrow_cone_of_texts_does_not_matter():
    """All texts of some checkpoints are alike; with a cohort only what sounds differ in counts."""

    class Cone:
        def embed_text(self, texts):
            rows = np.array([[10.0, text == "a", text == "b"] for text in texts], dtype=np.float32)
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    norm = prompt_lint.CohortNorm(np.zeros(3, np.float32), np.eye(3, dtype=np.float32)[1:] * 0.1)
    lint = prompt_lint._Lint(Cone(), norm)
    pairs = [(f"labels[{place}]", label) for place, label in enumerate(labels("a", "b"))]
    assert lint.found(pairs) == []
    assert len(prompt_lint._Lint(Cone(), None).found(pairs)) == 1
