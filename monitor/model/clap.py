"""CLAP model: audio windows and prompts to unit vectors in one space.

The two encoders are loaded separately: the audio encoder at once; the text encoder, four fifths of
``laion/clap-htsat-unfused``, only to embed prompts that are not in the cache.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.config import ModelConfig
from monitor.model.checkpoint import Checkpoint, read
from monitor.model.engine_choice import load_towers
from monitor.model.hub import resolve
from monitor.model.log_mel import log_mel
from monitor.model.self_test import refuse_collapse, refuse_non_finite, sounds
from monitor.model.text_cache import TextCache
from monitor.model.towers import Towers
from monitor.system import malloc
from monitor.system.boundary import explain
from monitor.types import Embeddings, ModelError, Samples

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
    engine : str
        ``torch`` or ``onnx``: what runs the audio encoder.
    device, dtype : str
        Device and precision of the audio encoder.
    largest_batch : int
        Windows that go through the audio encoder at once; of more, so many at a time.
    """

    def __init__(self, name: str, files: Checkpoint, towers: Towers, text_cache: TextCache) -> None:
        self.name = name
        self.path = files.path
        self.revision = files.commit
        self.identity = files.identity
        self.mel_config = files.mel_config
        self.dimension = files.audio_config.dimension
        self.engine = towers.audio.engine
        self.device, self.dtype = towers.audio.device, towers.audio.dtype
        self.logit_scale = towers.audio.logit_scale
        self.largest_batch = towers.audio.largest_batch
        self._towers = towers
        self._text_cache = text_cache
        self._text_lock = threading.Lock()
        malloc.release()  # the copies of the weights before they were packed
        self._try_one_window()

    @classmethod
    def configured(cls, settings: ModelConfig, cache: Path | None = None, *, apart: bool = True) -> Clap:
        """Load the configured checkpoint; `engine_choice` says how ``auto`` chooses.

        Prompts are embedded in float32 if the audio encoder is in a format that ``auto`` chose, so that
        cached embeddings stay valid.  With ``apart`` a child process embeds prompts, because a tokenizer can
        abort its process; ``cache`` is a directory for their embeddings.

        Raises
        ------
        ConfigError
            A revision for a checkpoint that is not on the hub.
        HubUnreachableError
            The checkpoint is not on this machine and cannot be downloaded.
        ModelError
            The checkpoint, the engine or the dtype cannot be used.
        """
        files = read(resolve(settings.checkpoint, settings.revision))
        towers = load_towers(settings, files, apart=apart)
        place = towers.text_place
        text_cache = TextCache(
            cache, [files.identity, str(files.commit), place.dtype], files.audio_config.dimension
        )
        return cls(settings.checkpoint, files, towers, text_cache)

    @classmethod
    def load(
        cls,
        checkpoint: str,
        *,
        engine: str = "auto",
        dtype: str = "float32",
        cache: Path | None = None,
        apart: bool = False,
    ) -> Clap:
        """Load a checkpoint as `configured`, with one CPU thread.

        ``checkpoint`` is ``starter``, a directory, or an id on the hub, for its last download.
        """
        wanted = {"checkpoint": checkpoint, "engine": engine, "dtype": dtype}
        settings = ModelConfig.model_validate(wanted)
        return cls.configured(settings, cache, apart=apart)

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
        return self._towers.audio.embed(spectrograms)

    def embed_text(self, prompts: Sequence[str], *, keep: bool = True) -> Embeddings:
        """Embed prompts, shape (n, dimension); cached ones do not need the text encoder.

        Prompts that are too long for the encoder are truncated with a warning.  ``keep`` writes new
        embeddings to the cache.

        Raises
        ------
        ModelError
            As `SubprocessTextEncoder.embed`.
        """
        with self._text_lock:
            unknown = [text for text in dict.fromkeys(prompts) if self._text_cache.read(text) is None]
            new = dict(zip(unknown, self._towers.text.embed(unknown), strict=True)) if unknown else {}
            for text, vector in new.items():
                if keep:
                    self._text_cache.write(text, vector)
            rows = [new[text] if text in new else self._text_cache.read(text) for text in prompts]
        return np.array(rows, dtype=np.float32).reshape(-1, self.dimension)

    def forget_text(self) -> None:
        """Free the text encoder; `embed_text` loads it again if needed."""
        with self._text_lock:
            self._towers.text.close()
            self._text_cache.trim()
        gc.collect()
        malloc.release()

    def use_threads(self, threads: int) -> None:
        """Set the CPU threads; using more threads than free cores is 5 to 20 times slower."""
        self._towers.audio.use_threads(threads)

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
                raise ModelError(
                    f"model.dtype: {self.dtype} on {self.device} does not work: use float32"
                ) from error
            where = f"{self.path / 'config.json'}: audio_config"
            raise ModelError(f"{where}: cannot embed a window: {explain(error)}") from error
        refuse_non_finite(vectors, self.name, self.dtype)
