from dataclasses import replace

import numpy as np
import pytest
import torch

from training import geometry as g
from training.judge import Judge
from training.sounds import Sound
from training.soundscape import NO_LEAD
from training.store import Soundscapes
from training.teach import LOUDEST, Windows, deviations, judged_windows, objective
from training.teacher import DIM, SCALE, Teacher

ROWS = 1100


@pytest.fixture(scope="module")
def part():
    """Windows in which half of the classes are common and half hardly ever come."""
    rng = np.random.default_rng(0)
    usual = np.where(np.arange(g.CLASSES) % 2, 0.2, 0.002)
    scores = usual * rng.exponential(size=(ROWS, g.CLASSES))
    nothing = np.empty(0)
    return Soundscapes(
        nothing, np.arange(ROWS), scores.clip(0, 1).astype(np.float16),
        rng.random((ROWS, g.FEATURES)).astype(np.float16), np.full(ROWS, -1, np.int16),
        np.full(ROWS, NO_LEAD, np.float32), nothing, nothing,
    )  # fmt: skip


def test_common_and_rare_classes_are_both_counted_in_their_own_deviations(part):
    windows = judged_windows(
        [part, part], Judge([Sound("dog", ("a dog",), (1,))]), np.random.default_rng(0), 400
    )
    assert windows.order.shape == (400, g.CLASSES)
    torch.testing.assert_close(windows.order.mean(0), torch.zeros(g.CLASSES), atol=1e-4, rtol=0)
    torch.testing.assert_close(windows.order.std(0), torch.ones(g.CLASSES))


def test_deviations_keep_the_order_and_have_an_end():
    scores = torch.zeros(1000, 3)
    scores[:3, 0] = torch.tensor([0.9, 0.01, 0.02])  # comes three times: hundreds of its mean
    scores[:, 1] = torch.linspace(0, 1, 1000)
    order = deviations(scores)
    assert order[0, 0] == LOUDEST
    assert order[0, 0] > order[2, 0] > order[1, 0] > order[3, 0]
    assert bool((order[:, 1].diff() > 0).all())
    assert bool((order[:, 2] == 0).all()), "a class that never comes orders nothing"


def test_the_teacher_is_asked_for_the_order_of_the_windows():
    torch.manual_seed(0)
    sounds = g.CLASSES + 1  # one label, so that its name is no question
    teacher = Teacher(torch.zeros(384), torch.randn(DIM, 384)).eval().requires_grad_(False)
    features, words = torch.rand(6, g.FEATURES), torch.nn.functional.normalize(torch.randn(sounds, DIM))
    own = (SCALE * teacher.sound(features).detach() @ words.T)[:, : g.CLASSES]
    nothing = torch.zeros(6, sounds)
    windows = Windows(features, nothing, nothing, torch.tensor([g.CLASSES, *[-1] * 5]), own + 3)
    assert float(objective(teacher, words, windows)) == pytest.approx(0, abs=1e-4)
    assert float(objective(teacher, words, replace(windows, order=own.flip(0)))) > 0.1
