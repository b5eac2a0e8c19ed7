"""The shape of what the checkpoint hears: window, spectrogram, time grid."""

from __future__ import annotations

RATE = 48_000
"""Samples per second (every CLAP checkpoint)."""

WINDOW_S = 2
"""Seconds heard at once.  An int: ClapFeatureExtractor pads by ``max_length_s * RATE``
samples and numpy refuses a float there (2.5 s failed with transformers 5.23)."""

WINDOW = WINDOW_S * RATE
"""Samples of a window."""

HOP = 400
"""Samples between spectrogram frames: 8.33 ms, 241 frames in a window.  The tower
stretches whatever it gets to 256 frames, so 241 are nearly unstretched."""

FFT = 1024
"""Samples of a frame, as in every CLAP checkpoint."""

MELS = 64
LOWEST_HZ = 50
HIGHEST_HZ = 14_000

FRAMES = WINDOW // HOP + 1
"""Frames of a window; the first and last are centred on its edges."""

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
