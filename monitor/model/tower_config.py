"""What ``config.json`` says of a checkpoint's two towers, checked before either is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitor.model.config_ranges import Range, check_list, check_mapping, shown
from monitor.model.mel_config import MelConfig
from monitor.types import ModelError

# Keys of audio_config that a checkpoint may leave out, with the values of ClapAudioConfig.
_AUDIO_DEFAULTS: dict[str, Any] = {
    "spec_size": 256,
    "num_mel_bins": 64,
    "hidden_size": 768,
    "patch_embeds_hidden_size": 96,
    "depths": [2, 2, 6, 2],
    "enable_fusion": False,
}

AUDIO_RANGES = {
    "spec_size": Range(1, 2_048),
    "num_mel_bins": Range(1, 1_024),
    "window_size": Range(1, 64),
    "patch_embeds_hidden_size": Range(1, 4_096),
    "hidden_size": Range(1, 65_536),
    "projection_dim": Range(1, 8_192),
    "num_hidden_layers": Range(1, 128),
    "layer_norm_eps": Range(0, 1, whole=False, above=True),
    "mlp_ratio": Range(0, 64, whole=False, above=True),
    "aff_block_r": Range(1, 1_024),
    "num_classes": Range(0, 65_536),
}
TOP = {"projection_dim": Range(1, 8_192)}
"""Keys of neither tower."""

_TEXT = {
    "vocab_size": Range(1, 2_000_000),
    "hidden_size": Range(1, 16_384),
    "num_hidden_layers": Range(1, 128),
    "num_attention_heads": Range(1, 1_024),
    "intermediate_size": Range(1, 131_072),
    "max_position_embeddings": Range(4, 65_536),
    "type_vocab_size": Range(1, 1_024),
    "projection_dim": Range(1, 8_192),
    "layer_norm_eps": Range(0, 1, whole=False, above=True),
    "pad_token_id": Range(0, 2_000_000),
}
# What ClapTextConfig has for a key that a checkpoint leaves out.
_TEXT_DEFAULTS = {
    "vocab_size": 50_265,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3_072,
    "max_position_embeddings": 514,
    "pad_token_id": 1,
}
_STAGES = 8
_SHORTEST_SENTENCE = 2
_SMALL = 2**28
"""Weights that are made without a look at the file: it may be cut off, which is another fault."""

_LAYERS = Range(1, 128)


def check_audio(audio: object, mel_config: MelConfig, origin: Path) -> None:
    """Refuse an audio tower that cannot take these features; else it shows at the first window only."""
    check_mapping(audio, AUDIO_RANGES, f"{origin}: audio_config")
    assert isinstance(audio, Mapping)  # noqa: S101 - just checked
    keys = {key: audio.get(key, default) for key, default in _AUDIO_DEFAULTS.items()}
    check_list(keys["depths"], _LAYERS, _STAGES, f"{origin}: audio_config.depths")
    spec, bins, stages = keys["spec_size"], keys["num_mel_bins"], len(keys["depths"])
    if mel_config.mel_bins != bins:
        raise ModelError(
            f"{origin}: audio_config.num_mel_bins: {bins}, but the preprocessor makes {mel_config.mel_bins}"
        )
    if spec % bins:
        raise ModelError(f"{origin}: audio_config.spec_size: {spec} is no multiple of num_mel_bins {bins}")
    if mel_config.frames > spec * spec // bins:
        raise ModelError(
            f"{origin}: audio_config.spec_size: {spec} holds {spec * spec // bins} frames of {bins} bins, "
            f"but {mel_config.seconds:g} s are {mel_config.frames} frames"
        )
    if keys["hidden_size"] != keys["patch_embeds_hidden_size"] * 2 ** (stages - 1):
        raise ModelError(
            f"{origin}: audio_config.hidden_size: {keys['hidden_size']} is not patch_embeds_hidden_size "
            f"{keys['patch_embeds_hidden_size']} doubled after each of {stages} stages but the last"
        )
    if mel_config.channels > 1 and not keys["enable_fusion"]:
        raise ModelError(
            f"{origin}: audio_config.enable_fusion: {shown(keys['enable_fusion'])}, but the preprocessor's "
            "truncation 'fusion' makes 4 channels; without fusion it is 'rand_trunc'"
        )


def check_text(text: object, size: int, origin: Path) -> None:
    """Refuse a text tower that no weights of this size can be, before it is made."""
    check_mapping(text, _TEXT, f"{origin}: text_config")
    assert isinstance(text, Mapping)  # noqa: S101 - just checked
    keys = _TEXT_DEFAULTS | {key: text[key] for key in _TEXT_DEFAULTS if key in text}
    width, layers, wide = keys["hidden_size"], keys["num_hidden_layers"], keys["intermediate_size"]
    if width % keys["num_attention_heads"]:
        raise ModelError(
            f"{origin}: text_config.num_attention_heads: {keys['num_attention_heads']} is no divisor of "
            f"hidden_size {width}"
        )
    if keys["max_position_embeddings"] - keys["pad_token_id"] - 1 < _SHORTEST_SENTENCE:
        raise ModelError(
            f"{origin}: text_config.pad_token_id: {keys['pad_token_id']} leaves no room for a sentence in "
            f"max_position_embeddings {keys['max_position_embeddings']}"
        )
    rows = keys["vocab_size"] + keys["max_position_embeddings"]
    numbers = width * (rows + layers * (4 * width + 2 * wide))
    if numbers > max(size, _SMALL):
        raise ModelError(
            f"{origin}: text_config: vocab_size, hidden_size, num_hidden_layers and intermediate_size make "
            f"at least {numbers:,} weights, but the weights have {size:,} bytes"
        )
