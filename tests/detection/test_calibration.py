"""Calibration: read from beside a checkpoint."""

import json

import pytest

from monitor.detection.calibration import Calibration, read_calibration
from monitor.types import ModelError


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
