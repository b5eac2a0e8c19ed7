"""Text encoder: prompts to unit vectors, in this process.

`SubprocessTextEncoder` does the same in a child process.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch

from monitor.model import loader
from monitor.model.checkpoint import Checkpoint, refuse_changed
from monitor.model.config_ranges import shown
from monitor.model.self_test import refuse_non_finite
from monitor.model.towers import Sandbox, text_log
from monitor.system.boundary import boundary
from monitor.types import Embeddings, ModelError

_DIFFERENT = ("a dog barking", "glass breaking")


class LocalTextEncoder:
    """Text encoder in this process, loaded on first use.

    ``name`` is that of the checkpoint in messages; ``sandbox`` makes the context manager within which the
    tokenizer runs, to limit its memory.
    """

    def __init__(
        self, files: Checkpoint, place: loader.Placement, name: str, sandbox: Sandbox = nullcontext
    ) -> None:
        self._files, self._place, self._name, self._sandbox = files, place, name, sandbox
        self._loaded: tuple[Any, Any, Any] | None = None

    def embed(self, prompts: Sequence[str]) -> Embeddings:
        """Embed at least one prompt, shape (n, dimension).

        Raises
        ------
        ModelError
            The encoder cannot be loaded, does not match its tokenizer, or its output is not finite.
        """
        if self._loaded is None:
            refuse_changed(self._files)
            self._loaded = loader.load_text_encoder(self._files, self._place, self._sandbox)
        tokenizer, encoder, config = self._loaded
        with boundary(ModelError, f"{self._files.path}: the tokenizer failed"), self._sandbox():
            tokens = self._tokens(tokenizer, prompts, config)
        failure = boundary(ModelError, f"{self._files.path}: the text encoder failed")
        with failure, torch.inference_mode(), loader.enough_memory(self._files, self._place):
            # Without the mask, padding would change the embeddings of shorter prompts (cosine 0.977).
            ids, mask = (tokens[key].to(self._place.device) for key in ("input_ids", "attention_mask"))
            vectors = loader.unit(encoder(input_ids=ids, attention_mask=mask).text_embeds)
        refuse_non_finite(vectors, self._name, loader.name_of(self._place.dtype))
        return vectors

    def close(self) -> None:
        """Free the memory; `embed` loads the encoder again."""
        self._loaded = None

    def _tokens(self, tokenizer: Any, prompts: Sequence[str], config: Any) -> Any:
        # RoBERTa counts positions from the padding id upwards.
        limit = min(tokenizer.model_max_length, config.max_position_embeddings - config.pad_token_id - 1)
        if limit < 1:
            raise ModelError(
                f"{self._files.path / 'tokenizer_config.json'}: model_max_length: "
                f"{shown(tokenizer.model_max_length)} is not a whole number above 0"
            )
        if len(set(map(tuple, tokenizer(list(_DIFFERENT))["input_ids"]))) < len(_DIFFERENT):
            raise ModelError(f"{self._files.path}: the tokenizer returns the same tokens for every prompt")
        for text, ids in zip(prompts, tokenizer(list(prompts))["input_ids"], strict=True):
            if len(ids) > limit:
                text_log.warning("prompt truncated to %d of %d tokens: %.60s...", limit, len(ids), text)
        tokens = tokenizer(
            list(prompts), padding=True, truncation=True, max_length=limit, return_tensors="pt"
        )
        longest = tokens["input_ids"].shape[1]
        if longest > limit:
            raise ModelError(
                f"{self._files.path}: the tokenizer adds so many tokens to a prompt that {longest} cannot be "
                f"truncated to {limit}: it does not belong to this model"
            )
        highest = int(tokens["input_ids"].max())
        if highest >= config.vocab_size:
            raise ModelError(
                f"{self._files.path}: the tokenizer makes token {highest}, but text_config.vocab_size is "
                f"{config.vocab_size}: they do not belong together"
            )
        return tokens
