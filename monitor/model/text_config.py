"""Text encoder configuration: the ``text_config`` section of a checkpoint's ``config.json``, checked."""

from __future__ import annotations

from monitor.model.config_ranges import Range, check_mapping
from monitor.types import ModelError

_RANGES = {
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
# Defaults of ClapTextConfig for keys that a checkpoint leaves out.
_DEFAULTS = {
    "vocab_size": 50_265,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3_072,
    "max_position_embeddings": 514,
    "pad_token_id": 1,
}
_SHORTEST_PROMPT = 2
"""Tokens."""
_SMALL = 2**28
"""Weights that are not compared with the size of the file: a truncated file is another error."""


def check_text_config(text: object, size: int, origin: str) -> None:
    """Raise ModelError for a text encoder that cannot work, or that is too large for its weights.

    ``size`` is that of the weights, in bytes; ``origin`` is the path of ``config.json``, for error messages.
    """
    given = check_mapping(text, _RANGES, f"{origin}: text_config")
    keys = {key: given.get(key, default) for key, default in _DEFAULTS.items()}
    width, layers, wide = keys["hidden_size"], keys["num_hidden_layers"], keys["intermediate_size"]
    if width % keys["num_attention_heads"]:
        raise ModelError(
            f"{origin}: text_config.num_attention_heads: {keys['num_attention_heads']} is not a divisor of "
            f"hidden_size {width}"
        )
    if keys["max_position_embeddings"] - keys["pad_token_id"] - 1 < _SHORTEST_PROMPT:
        raise ModelError(
            f"{origin}: text_config.pad_token_id: {keys['pad_token_id']} leaves no room for a prompt in "
            f"max_position_embeddings {keys['max_position_embeddings']}"
        )
    rows = keys["vocab_size"] + keys["max_position_embeddings"]
    numbers = width * (rows + layers * (4 * width + 2 * wide))
    if numbers > max(size, _SMALL):
        raise ModelError(
            f"{origin}: text_config: vocab_size, hidden_size, num_hidden_layers and intermediate_size make "
            f"at least {numbers:,} weights, but the weights have {size:,} bytes"
        )
