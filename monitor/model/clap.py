"""One checkpoint, ready to embed.

Its two towers are loaded one by one: the audio tower at once, the text tower - four fifths of
``laion/clap-htsat-unfused`` - only while sentences are embedded that are not in the cache (`reader`).
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
from monitor.model.text_encoder import LocalTextEncoder, Reader, SubprocessTextEncoder
from monitor.system import malloc
from monitor.types import Embeddings, ModelError, Samples

log = logging.getLogger(__name__)

WARM_UPS = 2


class Clap:
    """Audio and sentences to unit vectors; made by `load`.

    Audio is for one thread at a time; sentences may come from any: the towers share nothing that changes.

    Attributes
    ----------
    name : str
        What it was asked for as: ``starter``, a directory, or an id on the hub.
    path : Path
        The directory it was loaded from.
    revision : str or None
        Commit of the hub, None for a directory.
    identity : str
        Changes whenever the files do.
    mel_config : MelConfig
        What it hears.
    dimension : int
        Length of an embedding.
    logit_scale : float
        Factor from cosine to logit that was learnt with the audio tower.
    device, dtype : str
        Where and in what precision it runs.
    """

    def __init__(
        self,
        name: str,
        files: Checkpoint,
        place: loader.Place,
        cache: Path | None,
        text_place: loader.Place | None = None,
        *,
        apart: bool = False,
    ) -> None:
        self.name = name
        self.path = files.path
        self.revision = files.commit
        self.identity = files.identity
        self.mel_config = files.mel_config
        self.device = str(place.device)
        self.dtype = place.precision
        self._files = files
        self._place = place
        text_place = text_place or place
        self._audio, shape, self.logit_scale = loader.audio_tower(files, place)
        malloc.give_back()  # the copies of weights before they were packed
        self.dimension = shape.dimension
        self._reader: Reader = (SubprocessTextEncoder if apart else LocalTextEncoder)(files, text_place, name)
        self._reading = threading.Lock()
        depends_on = [files.identity, str(files.commit), loader.name_of(text_place.dtype)]
        self._cache = TextCache(cache, depends_on, self.dimension)

    @classmethod
    def configured(cls, settings: ModelConfig, cache: Path | None = None, *, apart: bool = True) -> Clap:
        """Load what the configuration names; ``dtype: auto`` is what is measured to be faster.

        Sentences are then embedded in float32 all the same, so that what is kept of them stays good; in a
        process ``apart`` unless it is not wished: a tokenizer can end the process that it is in.
        """
        torch.set_num_threads(settings.threads or 1)
        files = read(resolve(settings.checkpoint, settings.revision))
        place = text = loader.place_of(settings.device, settings.dtype)
        if settings.dtype == "auto" and place.device.type == "cpu" and bfloat16_pays(loader.shape(files)):
            place = loader.place_of(settings.device, "bfloat16")
        clap = cls(settings.checkpoint, files, place, cache, text, apart=apart)
        clap._try()
        return clap

    @classmethod
    def load(
        cls,
        checkpoint: str,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        threads: int = 1,
        cache: Path | None = None,
        apart: bool = False,
    ) -> Clap:
        """Load a checkpoint and send one window through it.

        Parameters
        ----------
        checkpoint : str
            ``starter``, a directory, or an id on the hub.
        revision : str or None
            Commit, tag or branch on the hub; None is what was downloaded last.
        device, dtype : str
            As in the configuration; see `towers.place_of`.
        threads : int
            Threads that torch may use: with more than there are free cores it is 5 to 20 times slower.
        cache : Path or None
            Directory for embeddings of sentences.
        apart : bool
            Whether sentences are read in a process of their own.

        Raises
        ------
        HubUnreachableError
            It is not on this machine and cannot be fetched.
        ModelError
            The checkpoint, the device or the dtype cannot be used.
        """
        torch.set_num_threads(threads)
        place = loader.place_of(device, dtype)
        clap = cls(checkpoint, read(resolve(checkpoint, revision)), place, cache, apart=apart)
        clap._try()
        return clap

    def embed_audio(self, windows: Samples) -> Embeddings:
        """Embed windows of audio.

        Parameters
        ----------
        windows : NDArray[np.float32]
            Shape (n, length), mono at ``geometry.rate``, in [-1, 1]; 0 < length <= ``geometry.length``,
            filled up by repetition as the checkpoint's preprocessor does.

        Returns
        -------
        Embeddings
            Shape (n, dimension); a window with a sample that is not finite gives a row of NaN.
        """
        if not len(windows):
            return np.empty((0, self.dimension), dtype=np.float32)
        return self.embed_log_mel(log_mel(windows, self.mel_config))

    def embed_log_mel(self, spectrograms: NDArray[np.float32]) -> Embeddings:
        """Embed spectrograms as `features.log_mel` makes them, shape (n, frames, mel_bins)."""
        with loader.enough_memory(self._files, self._place):
            return loader.unit(self._audio(torch.from_numpy(spectrograms)))

    def embed_text(self, sentences: Sequence[str], *, keep: bool = True) -> Embeddings:
        """Embed sentences, each once: known ones come from the cache, without the text tower.

        Sentences longer than the text tower can read are cut, and that is logged.

        Parameters
        ----------
        sentences : sequence of str
        keep : bool
            Whether new ones go into the cache.

        Returns
        -------
        Embeddings
            Shape (n, dimension).

        Raises
        ------
        ModelError
            The text tower cannot be loaded, does not go with its tokenizer, or gives no finite numbers.
        """
        with self._reading:
            unknown = [text for text in dict.fromkeys(sentences) if self._cache.read(text) is None]
            new = dict(zip(unknown, self._reader.embed(unknown), strict=True)) if unknown else {}
            for text, vector in new.items():
                if keep:
                    self._cache.write(text, vector)
            rows = [new[text] if text in new else self._cache.read(text) for text in sentences]
        return np.array(rows, dtype=np.float32).reshape(-1, self.dimension)

    def forget_text(self) -> None:
        """Free the text tower; `embed_text` loads it again if it must."""
        with self._reading:
            self._reader.close()
            self._cache.trim()
        gc.collect()
        malloc.give_back()

    def use_threads(self, threads: int) -> None:
        """Let torch use so many threads: with more than there are free cores it is 5 to 20 times slower."""
        torch.set_num_threads(threads)

    def warm_up(self, length: int | None = None) -> None:
        """Embed noise of ``length`` samples `WARM_UPS` times, so that the first real one is not slow."""
        noise = sounds(length or self.mel_config.length, self.mel_config.rate)[1:2]
        for _ in range(WARM_UPS):
            self.embed_audio(noise)

    def self_test(self) -> None:
        """Refuse weights to which a tone, noise and clicks sound the same, or that give no numbers.

        It belongs before listening.  Embeddings can be compared with weights that fail it, too.

        Raises
        ------
        ModelError
            Two of the sounds have a cosine of `trial.COLLAPSED` or more, or an output is not finite.
        """
        vectors = self.embed_audio(sounds(self.mel_config.length, self.mel_config.rate))
        refuse_non_finite(vectors, self.name, self.dtype)
        refuse_collapse(vectors, self.name)

    def _try(self) -> None:
        """Send one window through: what does not fit together shows only now."""
        try:
            vectors = self.embed_audio(sounds(self.mel_config.length, self.mel_config.rate)[1:2])
        except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
            if "not implemented for" in str(error):
                raise ModelError(f"model.dtype: {self._place} does not work: use float32") from error
            raise ModelError(
                f"{self.path / 'config.json'}: audio_config: no window passes: {loader.first_line(error)}"
            ) from error
        refuse_non_finite(vectors, self.name, self.dtype)
