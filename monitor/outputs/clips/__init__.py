"""Events -> sound files in the recordings directory, each with a picture and what is known of it.

Nothing is kept but a few seconds around an event, and only if ``clips.enabled`` is set, the label does not
say ``clips: false``, and nobody is heard speaking (``clips.speech_guard``).
"""

from monitor.outputs.clips.cutting import Clips
from monitor.outputs.clips.naming import SUFFIXES, clip_path
from monitor.outputs.clips.room import make_writable
from monitor.outputs.clips.shelf import MODES, Shelf

__all__ = ["MODES", "SUFFIXES", "Clips", "Shelf", "clip_path", "make_writable"]
