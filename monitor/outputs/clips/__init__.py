"""Events -> sound files in the recordings directory, each with a picture and what is known of it.

Nothing is kept but a few seconds around an event, and only if ``clips.enabled`` is set, the label does not
say ``clips: false``, and nobody is heard speaking (``clips.speech_guard``).
"""

from monitor.outputs.clips.library import MODES, ClipLibrary
from monitor.outputs.clips.paths import SUFFIXES, clip_path
from monitor.outputs.clips.recorder import ClipRecorder
from monitor.system.directories import make_writable

__all__ = ["MODES", "SUFFIXES", "ClipLibrary", "ClipRecorder", "clip_path", "make_writable"]
