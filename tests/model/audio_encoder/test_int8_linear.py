"""Products in int8: how near they come, that windows are apart, and what is kept of the weights."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from monitor.audio.level import to_reference
from monitor.audio.sources.ffmpeg import decode
from monitor.model.audio_encoder.int8_linear import QuantisedLinear, steps
from monitor.model.clap import Clap
from tests.support.command_line import ROOT


def numbers(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def exact():
    return Clap.load("starter", dtype="float32")


@pytest.fixture(scope="module")
def coarse():
    return Clap.load("starter", dtype="int8")


@pytest.fixture(scope="module")
def windows(exact):
    """Every second of the demo recording, as the tower is given it."""
    length = exact.mel_config.length
    audio = decode(ROOT / "recordings/demo.flac", exact.mel_config.rate)
    return np.stack([to_reference(audio[at : at + length]) for at in range(0, len(audio) - length, length)])


def test_this_processor_computes_in_int8():
    assert steps() in {254, 126}


@pytest.mark.parametrize("count", [count for count in (254, 126) if count <= steps()])
@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_products_are_near_those_of_float32(count, sign):
    x = numbers(2, 7, 24)
    x = x if sign == 0 else sign * x.abs()
    weight, bias, other = numbers(20, 24, seed=1), numbers(20, seed=2), numbers(2, 7, 20, seed=3)
    linear = QuantisedLinear(weight, bias, 7, steps=count)
    expected = torch.nn.functional.linear(x, weight, bias)
    # Half a step of every factor, added up as noise: sqrt(24) times the largest of the numbers.
    near = {"abs": 0.15 * 254 / count}
    assert linear(x) == pytest.approx(expected, **near)
    assert linear.gelu(x) == pytest.approx(torch.nn.functional.gelu(expected), **near)
    assert linear.plus(x, other) == pytest.approx(expected + other, **near)


def test_whole_numbers_are_exact():
    x = torch.tensor([[[0.0, 127, -127, 64]]])
    weight = torch.tensor([[127.0, 1, 0, -3], [0, 0, 0, 0], [0, -127, 127, 0]])
    linear = QuantisedLinear(weight, None, 1, steps=254)
    assert linear(x).tolist() == [[[-65.0, 0.0, -32258.0]]]
    assert linear(torch.zeros(1, 1, 4)).tolist() == [[[0.0, 0.0, 0.0]]]


def test_each_output_has_a_scale_of_its_own():
    weight = torch.stack([torch.full((8,), 1000.0), torch.full((8,), 0.001)])
    linear = QuantisedLinear(weight, None, 1, steps=steps())
    assert linear(torch.ones(1, 1, 8))[0, 0].tolist() == pytest.approx([8000.0, 0.008], rel=1e-3)


def test_a_loud_window_does_not_coarsen_one_beside_it():
    linear = QuantisedLinear(numbers(20, 24), numbers(20, seed=1), 7, steps=steps())
    quiet, loud = numbers(7, 24, seed=2), 1000 * numbers(7, 24, seed=3)
    beside = linear(torch.stack([quiet, loud]))
    assert torch.equal(beside[0], linear(quiet[None])[0])
    assert torch.equal(beside[1], linear(loud[None])[0])


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_so_and_in_its_own_window(broken):
    linear = QuantisedLinear(numbers(20, 24), None, 7, steps=steps())
    x = numbers(2, 7, 24)
    clean = linear(x)
    x[0, 3, 5] = broken
    assert linear(x)[0].isnan().all()
    assert linear.plus(x, clean)[0].isnan().all()
    assert torch.equal(linear(x)[1], clean[1])


@pytest.mark.skipif(steps() == 126, reason="this processor adds two products in 16 bits")
def test_a_processor_without_vnni_is_found_by_what_it_computes():
    # oneDNN then behaves as on an older processor; the variable has no effect once torch has started.
    script = "from monitor.model.audio_encoder import int8_linear as it; print(it.steps(), it._is_exact(254))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "126 False\n"


def test_another_kind_of_processor_has_no_such_products():
    assert steps("aarch64") == 0


def test_a_torch_that_was_built_without_them_has_no_such_products(monkeypatch):
    def refuse(*_):
        raise RuntimeError("Didn't find kernel to dispatch to for operator")

    monkeypatch.setattr(torch.ops.onednn, "qlinear_prepack", refuse)
    assert steps.__wrapped__() == 0


def test_the_starter_hears_nearly_the_same_on_a_real_recording(exact, coarse, windows):
    cosines = (exact.embed_audio(windows) * coarse.embed_audio(windows)).sum(axis=1)
    assert len(cosines) > 60
    assert 0.998 < cosines.min() < 0.999999
    assert cosines.mean() > 0.9997


def test_a_window_of_a_recording_is_embedded_the_same_alone(coarse, windows):
    together = coarse.embed_audio(windows[:16])
    alone = np.concatenate([coarse.embed_audio(window[None]) for window in windows[:16]])
    assert np.abs(together - alone).max() < 1e-5


def test_the_products_of_every_layer_are_in_int8_and_nothing_else_is(coarse):
    tower = coarse._towers.audio._encoder
    kinds = ("qkv", "out", "wide", "narrow", "reduction")
    products = [getattr(step, kind) for step in tower._steps for kind in kinds if hasattr(step, kind)]
    assert len(products) > 4 * len(tower._config.depths)
    assert {product.weight.dtype for product in products} == {torch.int8}
    assert not any(isinstance(product, QuantisedLinear) for product in tower._projections)
    assert tower._last_norm.weight.dtype == torch.float32


MEMORY = """
import sys
from pathlib import Path
from monitor.model.clap import Clap
Clap.load("starter", dtype="int8")
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000
before = resident()
clap = Clap.load(sys.argv[1], dtype=sys.argv[2])
print(resident() - before)
"""


def test_weights_are_kept_in_int8_only(larger_clap_general):
    taken = {}
    for dtype in ("float32", "int8"):
        command = [sys.executable, "-c", MEMORY, str(larger_clap_general), dtype]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        taken[dtype] = float(done.stdout)
    assert taken["float32"] - taken["int8"] > 150, taken  # of 270 MB of weights in float32
