"""Sound files and network streams of any common format, through FFmpeg.

Nothing but this package imports PyAV.  Files keep every sample; streams stay at the live edge.
"""

from monitor.capture.media.decoding import to_float
from monitor.capture.media.file import decode, media
from monitor.capture.media.network import stream

__all__ = ["decode", "media", "stream", "to_float"]
