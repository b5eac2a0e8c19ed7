"""A checkpoint of the size and shape of ``laion/larger_clap_general``, with random weights.

Random weights map all sounds to nearly one point, and a monitor refuses to listen with such.  So the mean
over some sounds is taken away from what comes out; no number of operations changes by that.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import ClapFeatureExtractor, ClapModel

from monitor.model.self_test import sounds
from tests.support.checkpoints import LARGER_CLAP_GENERAL, build

RATE = 48_000


@torch.inference_mode()
def build_full_size(directory: Path) -> Path:
    """Write it into a new directory, and return that."""
    build(directory, LARGER_CLAP_GENERAL)
    model = ClapModel.from_pretrained(directory, dtype=torch.float32)
    extractor = ClapFeatureExtractor.from_pretrained(directory)
    features = extractor(list(sounds(5 * RATE, RATE)), sampling_rate=RATE, return_tensors="pt")
    pooled = model.audio_model(input_features=features["input_features"]).pooler_output
    model.audio_projection.linear2.bias.sub_(model.audio_projection(pooled).mean(0))
    config = (directory / "config.json").read_bytes()
    model.half().save_pretrained(directory)
    (directory / "config.json").write_bytes(config)
    return directory
