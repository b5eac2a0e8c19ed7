from dataclasses import replace

import numpy as np
import pytest
import torch

from training import geometry as g
from training.judge import Judge
from training.sounds import Sound
from training.soundscape import NO_LEAD
from training.store import Soundscapes
from training.teach import Windows, judged_windows, last_layer, objective
from training.teacher import DIM, SCALE, Teacher

ROWS = 1100
"""More than features, or there are many last layers that fit."""


@pytest.fixture(scope="module")
def part():
    """Windows whose scores come of their features by a known last layer."""
    rng = np.random.default_rng(0)
    features = rng.random((ROWS, g.FEATURES)).astype(np.float16)
    layer = rng.standard_normal((g.FEATURES, g.CLASSES)) * 0.1
    scores = 1 / (1 + np.exp(-(features @ layer - 2)))
    nothing = np.empty(0)
    return Soundscapes(
        nothing, np.arange(ROWS), scores.astype(np.float16), features, np.full(ROWS, -1, np.int16),
        np.full(ROWS, NO_LEAD, np.float32), nothing, nothing,
    ), layer  # fmt: skip


def test_the_last_layer_is_found_from_what_it_made(part):
    soundscapes, layer = part
    found = soundscapes.features.astype(np.float32) @ last_layer(soundscapes).numpy()
    for right, own in zip((soundscapes.features @ layer).T, found.T, strict=True):
        assert np.corrcoef(right, own)[0, 1] > 0.999


def test_logits_are_deviations_from_the_mean_of_their_class(part):
    soundscapes, _ = part
    windows = judged_windows(
        [soundscapes, soundscapes], Judge([Sound("dog", ("a dog",), (1,))]), np.random.default_rng(0), 400
    )
    assert windows.logits.shape == (400, g.CLASSES)
    torch.testing.assert_close(windows.logits.mean(0), torch.zeros(g.CLASSES), atol=1e-4, rtol=0)
    torch.testing.assert_close(windows.logits.std(0), torch.ones(g.CLASSES))


def test_the_teacher_is_asked_for_the_order_of_the_logits():
    torch.manual_seed(0)
    sounds = g.CLASSES + 1  # one label, so that its name is no question
    teacher = Teacher(torch.zeros(384), torch.randn(DIM, 384)).eval().requires_grad_(False)
    features, words = torch.rand(6, g.FEATURES), torch.nn.functional.normalize(torch.randn(sounds, DIM))
    own = (SCALE * teacher.sound(features).detach() @ words.T)[:, : g.CLASSES]
    nothing = torch.zeros(6, sounds)
    windows = Windows(features, nothing, nothing, torch.tensor([g.CLASSES, *[-1] * 5]), own + 3)
    assert float(objective(teacher, words, windows)) == pytest.approx(0, abs=1e-4)
    assert float(objective(teacher, words, replace(windows, logits=own.flip(0)))) > 0.1
