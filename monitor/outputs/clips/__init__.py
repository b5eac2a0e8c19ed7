"""Clips: sound files of events in the recordings directory, each with its spectrogram and metadata.

A clip holds a few seconds around an event, and is recorded only if ``clips.enabled`` is set, the label does
not set ``clips: false``, and no speech is detected in it (``clips.speech_filter``).
"""

from monitor.outputs.clips.library import MODES, ClipLibrary
from monitor.outputs.clips.paths import SUFFIXES, clip_path
from monitor.outputs.clips.recorder import ClipRecorder

__all__ = ["MODES", "SUFFIXES", "ClipLibrary", "ClipRecorder", "clip_path"]
