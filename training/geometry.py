"""The shape of what the checkpoint hears: window, spectrogram, time grid."""

from __future__ import annotations

RATE = 48_000
"""Samples per second (every CLAP checkpoint)."""

WINDOW_S = 1
"""Seconds heard at once: what the teacher hears, so that a window decides what it says.
An int: ClapFeatureExtractor pads by ``max_length_s * RATE`` samples and numpy refuses a
float there (transformers 5.23)."""

WINDOW = WINDOW_S * RATE
"""Samples of a window."""

HOP = 505
"""Samples between spectrogram frames: 10.5 ms, 96 frames in a window, as many as bands, so
that the tower's picture is the spectrogram itself and nothing is stretched."""

FFT = 1024
"""Samples of a frame, as in every CLAP checkpoint."""

MELS = 96
LOWEST_HZ = 50
HIGHEST_HZ = 14_000

FRAMES = WINDOW // HOP + 1
"""Frames of a window; the first is centred on its edge."""

FRAMES_PER_S = RATE / HOP

FLOOR_DB = -100.0
"""Log-mel of digital silence: 10 log10 of the extractor's floor 1e-10."""

TEACHER_RATE = 16_000
TEACHER_WINDOW = 15_600
"""Samples of a YAMNet window: 0.975 s at 16 kHz."""

TEACHER_HOP = 3_840
"""Samples between teacher windows: 0.24 s, half of YAMNet's own hop."""

CLASSES = 521
FEATURES = 1024
"""YAMNet's class scores and the layer before them."""
