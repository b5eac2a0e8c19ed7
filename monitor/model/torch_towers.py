"""Torch towers: the reference engine, and the only one for a GPU and for other formats than float32."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from monitor.model import loader
from monitor.model.checkpoint import Checkpoint
from monitor.model.dtype_choice import bfloat16_pays
from monitor.model.text_encoder import LocalTextEncoder
from monitor.model.towers import EngineName, Sandbox, TextPlace
from monitor.types import Embeddings


class TorchAudioEncoder:
    """Audio encoder of a checkpoint in torch, on a device and in a number format."""

    engine: EngineName = "torch"

    def __init__(self, files: Checkpoint, place: loader.Placement, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self.device = str(place.device)
        self.dtype = place.precision
        self._files, self._place = files, place
        self._encoder, self.logit_scale = loader.load_audio_encoder(files, place)
        self.largest_batch = self._encoder.largest_batch

    def embed(self, spectrograms: NDArray[np.float32]) -> Embeddings:
        """Embed log-mel spectrograms, (n, frames, mel_bins) -> (n, d)."""
        with loader.enough_memory(self._files, self._place):
            return loader.unit(self._encoder(torch.from_numpy(spectrograms)))

    def use_threads(self, threads: int) -> None:
        """Set the CPU threads of torch; using more threads than free cores is 5 to 20 times slower."""
        torch.set_num_threads(threads)


def placement_of(files: Checkpoint, device: str, dtype: str) -> loader.Placement:
    """Device and number format; for ``auto`` on a CPU the format that is measured to be faster."""
    place = loader.placement_of(device, dtype)
    if dtype == "auto" and place.device.type == "cpu" and bfloat16_pays(files.audio_config):
        return loader.placement_of(device, "bfloat16")
    return place


def text_place(device: str, dtype: str) -> TextPlace:
    """Where prompts are embedded: in float32 for ``auto`` on a CPU, so that cached embeddings stay valid."""
    place = loader.placement_of(device, dtype)
    return TextPlace("torch", str(place.device), loader.name_of(place.dtype))


def text_encoder(
    files: Checkpoint, place: TextPlace, name: str, sandbox: Sandbox = nullcontext
) -> LocalTextEncoder:
    """Text encoder in this process."""
    exact = loader.Placement(torch.device(place.device), loader.dtype_of(place.dtype))
    return LocalTextEncoder(files, exact, name, sandbox)
