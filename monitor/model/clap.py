"""CLAP model: audio windows and prompts to unit vectors in one space.

The two encoders are loaded separately: the audio encoder at once; the text encoder, four fifths of
``laion/clap-htsat-unfused``, only to embed prompts that are not in the cache.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from monitor.config import ModelConfig
from monitor.model import loader
from monitor.model.checkpoint import Checkpoint, read
from monitor.model.dtype_choice import bfloat16_pays
from monitor.model.hub import resolve
from monitor.model.log_mel import log_mel
from monitor.model.self_test import refuse_collapse, refuse_non_finite, sounds
from monitor.model.text_cache import TextCache
from monitor.model.text_encoder import LocalTextEncoder
from monitor.model.text_subprocess import SubprocessTextEncoder
from monitor.system import malloc
from monitor.system.boundary import explain
from monitor.types import Embeddings, ModelError, Samples

log = logging.getLogger(__name__)

WARM_UPS = 2


class Clap:
    """CLAP model, made by `configured` or `load`; one window is embedded to see that everything fits.

    One thread at a time may embed audio, any thread may embed prompts: the encoders share no state.

    Attributes
    ----------
    name : str
        Name in the configuration: ``starter``, a directory, or an id on the hub.
    path : Path
        Directory of the checkpoint.
    revision : str or None
        Commit on the hub; None for a directory.
    identity : str
        Text that changes whenever the files change.
    mel_config : MelConfig
        Parameters of its spectrograms.
    dimension : int
        Length of an embedding.
    logit_scale : float
        Learnt factor from cosine to logit.
    device, dtype : str
        Device and precision of the audio encoder.
    """

    def __init__(
        self,
        name: str,
        files: Checkpoint,
        place: loader.Placement,
        text_encoder: LocalTextEncoder | SubprocessTextEncoder,
        text_cache: TextCache,
    ) -> None:
        self.name = name
        self.path = files.path
        self.revision = files.commit
        self.identity = files.identity
        self.mel_config = files.mel_config
        self.device = str(place.device)
        self.dtype = place.precision
        self.dimension = files.audio_config.dimension
        self._files = files
        self._place = place
        self._audio_encoder, self.logit_scale = loader.load_audio_encoder(files, place)
        malloc.release()  # the copies of the weights before they were packed
        self._text_encoder = text_encoder
        self._text_cache = text_cache
        self._text_lock = threading.Lock()
        self._try_one_window()

    @classmethod
    def configured(cls, settings: ModelConfig, cache: Path | None = None, *, apart: bool = True) -> Clap:
        """Load the configured checkpoint; ``dtype: auto`` selects the format that is measured to be faster.

        Prompts are then embedded in float32 all the same, so that cached embeddings stay valid.  With
        ``apart`` a child process embeds prompts, because a tokenizer can abort its process; ``cache`` is a
        directory for their embeddings.

        Raises
        ------
        ConfigError
            A revision for a checkpoint that is not on the hub.
        HubUnreachableError, ModelError
            As `load`.
        """
        torch.set_num_threads(settings.threads or 1)
        files = read(resolve(settings.checkpoint, settings.revision))
        place = text_place = loader.placement_of(settings.device, settings.dtype)
        if settings.dtype == "auto" and place.device.type == "cpu" and bfloat16_pays(files.audio_config):
            place = loader.placement_of(settings.device, "bfloat16")
        kind = SubprocessTextEncoder if apart else LocalTextEncoder
        text_encoder = kind(files, text_place, settings.checkpoint)
        text_cache = _cache(cache, files, text_place)
        return cls(settings.checkpoint, files, place, text_encoder, text_cache)

    @classmethod
    def load(
        cls,
        checkpoint: str,
        *,
        dtype: str = "auto",
        cache: Path | None = None,
        apart: bool = False,
    ) -> Clap:
        """Load a checkpoint in the given precision (`loader.placement_of`), with one CPU thread.

        ``checkpoint`` is ``starter``, a directory, or an id on the hub, for its last download; ``cache`` and
        ``apart`` are as in `configured`.

        Raises
        ------
        HubUnreachableError
            The checkpoint is not on this machine and cannot be downloaded.
        ModelError
            The checkpoint or the dtype cannot be used.
        """
        torch.set_num_threads(1)
        place = loader.placement_of("auto", dtype)
        files = read(resolve(checkpoint))
        text_encoder = (SubprocessTextEncoder if apart else LocalTextEncoder)(files, place, checkpoint)
        return cls(checkpoint, files, place, text_encoder, _cache(cache, files, place))

    def embed_audio(self, windows: Samples) -> Embeddings:
        """Embed audio windows.

        Parameters
        ----------
        windows : NDArray[np.float32]
            Shape (n, length), mono at ``mel_config.rate``, in [-1, 1]; 0 < length <= ``mel_config.length``;
            a shorter window is repeated, as the checkpoint's preprocessor does.

        Returns
        -------
        Embeddings
            Shape (n, dimension); a window with a non-finite sample gives a row of NaN.
        """
        if not len(windows):
            return np.empty((0, self.dimension), dtype=np.float32)
        return self.embed_log_mel(log_mel(windows, self.mel_config))

    def embed_log_mel(self, spectrograms: NDArray[np.float32]) -> Embeddings:
        """Embed spectrograms from `log_mel`, shape (n, frames, mel_bins)."""
        with loader.enough_memory(self._files, self._place):
            return loader.unit(self._audio_encoder(torch.from_numpy(spectrograms)))

    def embed_text(self, prompts: Sequence[str], *, keep: bool = True) -> Embeddings:
        """Embed prompts, shape (n, dimension); cached ones do not need the text encoder.

        Prompts that are too long for the encoder are truncated with a warning.  ``keep`` writes new
        embeddings to the cache.

        Raises
        ------
        ModelError
            As `LocalTextEncoder.embed` and `SubprocessTextEncoder.embed`.
        """
        with self._text_lock:
            unknown = [text for text in dict.fromkeys(prompts) if self._text_cache.read(text) is None]
            new = dict(zip(unknown, self._text_encoder.embed(unknown), strict=True)) if unknown else {}
            for text, vector in new.items():
                if keep:
                    self._text_cache.write(text, vector)
            rows = [new[text] if text in new else self._text_cache.read(text) for text in prompts]
        return np.array(rows, dtype=np.float32).reshape(-1, self.dimension)

    def forget_text(self) -> None:
        """Free the text encoder; `embed_text` loads it again if needed."""
        with self._text_lock:
            self._text_encoder.close()
            self._text_cache.trim()
        gc.collect()
        malloc.release()

    def use_threads(self, threads: int) -> None:
        """Set the CPU threads of torch; using more threads than free cores is 5 to 20 times slower."""
        torch.set_num_threads(threads)

    def warm_up(self, length: int | None = None) -> None:
        """Embed noise of ``length`` samples `WARM_UPS` times, so that the first real window is not slow."""
        noise = sounds(length or self.mel_config.length, self.mel_config.rate)[1:2]
        for _ in range(WARM_UPS):
            self.embed_audio(noise)

    def self_test(self) -> None:
        """Refuse weights that cannot tell a tone, noise and clicks apart, or whose output is not finite.

        Run it before detection starts.

        Raises
        ------
        ModelError
            Two of the sounds have a cosine of `self_test.COLLAPSED` or more, or an output is not finite.
        """
        vectors = self.embed_audio(sounds(self.mel_config.length, self.mel_config.rate))
        refuse_non_finite(vectors, self.name, self.dtype)
        refuse_collapse(vectors, self.name)

    def _try_one_window(self) -> None:
        """Embed one window: parts of a checkpoint that do not fit together fail only now."""
        try:
            vectors = self.embed_audio(sounds(self.mel_config.length, self.mel_config.rate)[1:2])
        except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
            if "not implemented for" in str(error):
                raise ModelError(f"model.dtype: {self._place} does not work: use float32") from error
            where = f"{self.path / 'config.json'}: audio_config"
            raise ModelError(f"{where}: cannot embed a window: {explain(error)}") from error
        refuse_non_finite(vectors, self.name, self.dtype)


def _cache(directory: Path | None, files: Checkpoint, place: loader.Placement) -> TextCache:
    model = [files.identity, str(files.commit), loader.name_of(place.dtype)]
    return TextCache(directory, model, files.audio_config.dimension)
