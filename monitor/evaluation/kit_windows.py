"""Windows of the calibration kit: its sounds in windows of the configured length, and their embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from monitor.evaluation.calibration_kit import KitClip, KitEvent, decode_clips
from monitor.model.clap import Clap
from monitor.model.self_test import refuse_non_finite
from monitor.model.spectrogram_cache import SpectrogramCache
from monitor.types import Embeddings, Samples, Window

SNRS_DB = (5.0, 30.0)
"""Level of a sound above the bed in which it stands, drawn evenly."""

_BATCH = 8
"""Windows that are embedded at once: a small model is then faster; a large one takes them one by one."""

_SEED = 1


@dataclass(frozen=True, slots=True)
class WindowEmbedder:
    """A model, and the windows that it is given."""

    model: Clap
    length: int
    """Samples in a window."""
    on_done: Callable[[int], None] = lambda _windows: None
    """Takes how many windows were embedded, now and then."""

    @property
    def rate(self) -> int:
        """Samples per second."""
        return self.model.mel_config.rate

    def embed(self, windows: Iterable[Samples], hop: int = 0) -> Embeddings:
        """Return the embeddings of windows, each as `run` makes it, shape (windows, d).

        Parameters
        ----------
        windows : iterable of Samples
            Each of shape (length,).
        hop : int
            Samples between two windows that follow each other; 0 if they have nothing in common.

        Raises
        ------
        ModelError
            The model returns something that is not a unit vector.
        """
        spectrograms, vectors = SpectrogramCache(self.model.mel_config), []
        remaining = enumerate(windows)
        while batch := list(islice(remaining, _BATCH)):
            log_mels = [
                spectrograms.log_mel(Window("kit", number * (hop or self.length), samples, 0.0))
                for number, samples in batch
            ]
            vectors.append(self.model.embed_log_mel(np.stack(log_mels)))
            refuse_non_finite(vectors[-1], self.model.name, self.model.dtype)
            self.on_done(len(batch))
        return np.concatenate(vectors)


def windows_in(samples: Samples, length: int, hop: int) -> Iterator[Samples]:
    """Yield the windows of a recording, as `monitor.audio.windows` cuts them."""
    for start in range(0, len(samples) - length + 1, hop):
        yield samples[start : start + length]


def clip_windows(
    clips: Sequence[KitClip], beds: Sequence[KitClip], rate: int, length: int
) -> Iterator[Samples]:
    """Yield a window for each clip: the sound somewhere in a bed, as a microphone hears it at home.

    A sound alone, repeated until it fills the window, is what no room contains: scores would be
    calibrated against sounds that never come.

    Parameters
    ----------
    clips, beds : sequence of KitClip
    rate : int
        Hz.
    length : int
        Samples in a window.
    """
    random = np.random.default_rng(_SEED)
    share = -(-len(clips) // len(beds))
    bed = np.zeros(0, dtype=np.float32)
    for number, (_, sound) in enumerate(decode_clips(clips, rate)):
        if number % share == 0:
            [(_, bed)] = decode_clips([beds[number // share]], rate)
        start = int(random.integers(len(bed)))
        window = np.take(bed, np.arange(start, start + length), mode="wrap")
        part, at = _placed(sound, length, random)
        gain = 10.0 ** (random.uniform(*SNRS_DB) / 20.0) * _rms(window) / _rms(part)
        window[at : at + len(part)] += np.float32(gain) * part
        yield window / max(1.0, float(np.abs(window).max()))


def event_windows(events: Sequence[KitEvent], rate: int, length: int) -> Iterator[Samples]:
    """Yield a window for each event: the sound alone, repeated if it is shorter.

    As transformers' zero-shot pipeline takes it, so that the accuracy can be compared with published ones.
    """
    for event, (_, samples) in zip(events, decode_clips([e.clip for e in events], rate), strict=True):
        sound = samples[round(event.onset * rate) : round(event.offset * rate)]
        yield np.resize(sound, length)


def _placed(sound: Samples, length: int, random: np.random.Generator) -> tuple[Samples, int]:
    """Return what of a sound fits into a window, and where in it."""
    if len(sound) >= length:
        start = int(random.integers(len(sound) - length + 1))
        return sound[start : start + length], 0
    return sound, int(random.integers(length - len(sound) + 1))


def _rms(samples: Samples) -> float:
    return max(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), 1e-6)
