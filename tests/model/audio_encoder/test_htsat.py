"""The audio tower: what transformers makes of the same weights, whatever their shape."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ClapAudioModelWithProjection, ClapConfig

from monitor.model import loader
from monitor.model.audio_config import audio_config_of
from monitor.model.audio_encoder.linear import Linear
from monitor.model.checkpoint import read
from monitor.types import ModelError
from tests.support.checkpoints import TINY_FUSED, build

SMALL = TINY_FUSED["audio_config"] | {"enable_fusion": False}
FLOAT32 = loader.Placement(torch.device("cpu"), torch.float32)

# Two stages of few channels: grids, folds, overlapping patches and layers of every kind.
SHAPES = {
    "folded four times, as published": (SMALL, {}),
    "not folded, overlapping patches": (
        SMALL
        | {"spec_size": 96, "num_mel_bins": 96, "patch_size": 12, "patch_stride": [6, 6], "window_size": 4},
        {"feature_size": 96, "max_length_s": 1, "hop_length": 505},
    ),
    "as many frames as it holds": (SMALL, {"max_length_s": 10.23}),
    "a last stage of one window": (
        SMALL | {"depths": [1, 2, 3], "num_attention_heads": [1, 2, 4], "hidden_size": 64, "spec_size": 128},
        {"hop_length": 1920},
    ),
    "odd windows": (
        SMALL | {"spec_size": 96, "num_mel_bins": 48, "window_size": 3},
        {"feature_size": 48, "hop_length": 2600},
    ),
    "rectangular patches": (SMALL | {"patch_size": [4, 2], "patch_stride": [4, 2]}, {}),
    "no bias of query, key and value": (SMALL | {"qkv_bias": False, "mlp_ratio": 2.5}, {}),
}


def checkpoint(directory, audio, preprocessor):
    build(directory, TINY_FUSED | {"audio_config": audio}, preprocessor=preprocessor)
    randomise(directory)
    return read(directory)


def randomise(directory):
    """Give every tensor numbers of its own: those that start as 0 or 1 hide what is done with them."""
    random = torch.Generator().manual_seed(1)
    tensors = load_file(directory / "model.safetensors")
    for name, tensor in tensors.items():
        if name.startswith("audio") and tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=random) - 0.5
            spread = 0.5 if tensor.dim() < 2 else tensor.shape[1] ** -0.5
            tensors[name] = (tensor + spread * noise if tensor.dim() < 2 else 2 * spread * noise).half()
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def spectrograms(files, count=3):
    """Noise under which each has a tone of its own that comes and goes."""
    mel_config = files.mel_config
    random = np.random.default_rng(0)
    levels = random.uniform(-80, -40, (count, mel_config.frames, mel_config.mel_bins))
    for index, level in enumerate(levels):
        level[index * mel_config.frames // 4 :: index + 2, 4 + 9 * index : 12 + 9 * index] = 10
    return torch.from_numpy(levels.astype(np.float32))


def theirs(files, features):
    loader.quiet()
    config = ClapConfig.from_pretrained(files.path)
    model = ClapAudioModelWithProjection.from_pretrained(
        files.path, config=config.audio_config, dtype=torch.float32
    ).eval()
    with torch.inference_mode():
        return model(input_features=features[:, None], is_longer=torch.zeros(len(features), 1)).audio_embeds


@pytest.mark.parametrize("name", SHAPES)
def test_a_tower_of_any_shape_is_that_of_transformers(name, tmp_path):
    files = checkpoint(tmp_path / "x", *SHAPES[name])
    features = spectrograms(files)
    tower, _ = loader.load_audio_encoder(files, FLOAT32)
    expected = theirs(files, features)
    assert (expected[0] - expected[1]).abs().max() > 0.001
    assert torch.nn.functional.normalize(tower(features)) == pytest.approx(
        torch.nn.functional.normalize(expected), abs=1e-5
    )


def test_windows_are_embedded_the_same_alone_and_among_more_than_go_through_at_once(tmp_path):
    files = checkpoint(tmp_path / "x", *SHAPES["folded four times, as published"])
    tower, _ = loader.load_audio_encoder(files, FLOAT32)
    features = spectrograms(files, 5)
    alone = torch.cat([tower(one[None]) for one in features])
    assert tower(features) == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_products_are_the_same_packed_or_not(dtype):
    random = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*size, generator=random).to(dtype) for size in ((7, 12), (20, 12), (20,)))
    other = torch.randn(7, 20, generator=random).to(dtype)
    linear = Linear(weight, bias, rows=64)
    expected = (x.double() @ weight.double().T + bias.double()).float()
    close = {"abs": 1e-5} if dtype in {torch.float32, torch.float64} else {"abs": 0.1}
    with torch.inference_mode():
        assert linear(x).float() == pytest.approx(expected, **close)
        assert linear.plus(x, other).float() == pytest.approx(expected + other.float(), **close)
        assert linear.gelu(x).float() == pytest.approx(torch.nn.functional.gelu(expected), **close)


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"hidden_act": "relu"}, r"audio_config\.hidden_act: 'relu': not 'gelu'"),
        ({"patch_stride": [4]}, r"audio_config\.patch_stride: \[4\] is neither"),
        (
            {"depths": [2, 0]},
            r"audio_config\.depths: \[2, 0\] is not a list of 1 to 8 items, each a whole number",
        ),
        ({"num_attention_heads": [2]}, r"audio_config\.num_attention_heads: \[2\]: not one for each"),
        ({"num_attention_heads": [3, 4]}, r"audio_config\.num_attention_heads: 3: not a divisor of the 16"),
        ({"window_size": 7}, r"audio_config: stage 0 has 64 x 64 tokens"),
        ({"layer_norm_eps": "small"}, r"audio_config\.layer_norm_eps: 'small' is not a number above 0"),
        ({"mlp_ratio": 0}, r"audio_config\.mlp_ratio: 0 is not a number above 0"),
    ],
)
def test_a_shape_that_is_not_known_is_refused(keys, match):
    with pytest.raises(ModelError, match=r"^config\.json: " + match):
        audio_config_of({"audio_config": SMALL | keys, "projection_dim": 32}, "config.json")


def test_weights_of_another_shape_are_refused_by_name(tmp_path):
    files = checkpoint(tmp_path / "x", *SHAPES["folded four times, as published"])
    config = json.loads((files.path / "config.json").read_text())
    config["audio_config"]["mlp_ratio"] = 3.0
    (files.path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ModelError, match=r"config\.json: audio_config: makes .*dense\.weight \[16, 48\], but .* \[16, 64\]"
    ):
        loader.load_audio_encoder(read(files.path), FLOAT32)
