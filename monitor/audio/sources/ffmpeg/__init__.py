"""Sound files and network streams of any common format, through FFmpeg.

Nothing but this package imports PyAV.  Files keep every sample; streams stay at the live edge.
"""

from monitor.audio.sources.ffmpeg.decoder import to_float
from monitor.audio.sources.ffmpeg.file import decode, media
from monitor.audio.sources.ffmpeg.network_stream import stream

__all__ = ["decode", "media", "stream", "to_float"]
