"""Calibration: read from beside a checkpoint, or estimated from background sounds."""

import json

import numpy as np
import pytest

from monitor.detection import scoring
from monitor.detection.calibration import Calibration, estimate_calibration, read_calibration
from monitor.types import ModelError


def test_an_estimated_calibration_scores_half_three_deviations_above_the_quantile():
    margins = np.random.default_rng(0).normal(-0.1, 0.05, (400, 12)).astype(np.float32)
    calibration = estimate_calibration(margins)
    edge = np.array([np.quantile(margins, 0.9) + 3 * margins.std()], dtype=np.float32)
    baseline = np.array([calibration.baseline], dtype=np.float32)
    assert scoring.scores(scoring.logits(edge, calibration), baseline) == pytest.approx([0.5], abs=1e-3)
    usual = np.array([np.median(margins)], dtype=np.float32)
    assert scoring.scores(scoring.logits(usual, calibration), baseline)[0] < 0.01


def test_equal_margins_do_not_give_an_unlimited_scale():
    assert estimate_calibration(np.full((6, 12), 0.2, np.float32)).scale <= 75.0


def test_a_calibration_is_read_from_beside_the_checkpoint(tmp_path):
    assert read_calibration(tmp_path) is None
    (tmp_path / "detection.json").write_text(json.dumps({"scale": 20, "centre": 0.1, "ambience": -4}))
    assert read_calibration(tmp_path) == Calibration(20.0, 0.1, -4.0)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"scale": 1}',
        '{"scale": "x", "centre": 0, "ambience": 0}',
        '{"scale": NaN, "centre": 0, "ambience": 0}',
        '{"scale": "nan", "centre": 0, "ambience": 0}',
        '{"scale": 20, "centre": 0, "ambience": 1e999}',
        '{"scale": 1e30, "centre": 0, "ambience": 0}',
        "[" * 100_000,
    ],
    ids=range(9),
)
def test_a_broken_calibration_names_its_file(tmp_path, content):
    (tmp_path / "detection.json").write_text(content)
    with pytest.raises(ModelError, match=r"detection\.json: not a calibration"):
        read_calibration(tmp_path)
