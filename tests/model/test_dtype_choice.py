"""Number formats: chosen by what the processor can do and by measurement."""

from pathlib import Path

import pytest
import torch

from monitor.model.audio_config import audio_config_of
from monitor.model.dtype_choice import bfloat16_pays, product_seconds
from monitor.system.cpu import has_bfloat16
from tests.support.checkpoints import CLAP_HTSAT_UNFUSED, LARGER_CLAP_GENERAL, TINY_FUSED


def parsed(config):
    return audio_config_of(config, "config.json")


@pytest.mark.parametrize(
    ("config", "expected"), [(CLAP_HTSAT_UNFUSED, 11.8e9), (LARGER_CLAP_GENERAL, 30.7e9)]
)
def test_operations_are_those_that_were_measured(config, expected):
    assert parsed(config).operations == pytest.approx(expected, rel=0.15)


def seconds_of(exact, coarse):
    return lambda _, dtype: exact if dtype == torch.float32 else coarse


@pytest.mark.parametrize(
    ("config", "supported", "coarse", "expected"),
    [
        (LARGER_CLAP_GENERAL, True, 0.5, True),
        (LARGER_CLAP_GENERAL, True, 0.9, False),
        (LARGER_CLAP_GENERAL, True, 30.0, False),
        (LARGER_CLAP_GENERAL, False, 0.1, False),
        (TINY_FUSED, True, 0.1, False),
    ],
    ids=["faster", "hardly faster", "slower", "emulated", "a small tower"],
)
def test_bfloat16_is_for_large_towers_on_processors_where_it_is_faster(config, supported, coarse, expected):
    assert bfloat16_pays(parsed(config), lambda: supported, seconds_of(1.0, coarse)) is expected


def test_a_product_takes_time_in_either_format():
    for dtype in (torch.float32, torch.bfloat16):
        assert product_seconds(parsed(LARGER_CLAP_GENERAL), dtype) > 0


def test_the_flags_say_what_torch_finds():
    if Path("/proc/cpuinfo").read_text().count("avx512_bf16"):
        assert has_bfloat16()
