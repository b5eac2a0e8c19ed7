"""FFmpeg sources: sound files and network streams of any common format.

Only this package imports PyAV.  Files keep every sample; streams stay at the live edge.
"""

from monitor.audio.sources.ffmpeg.decoder import to_float
from monitor.audio.sources.ffmpeg.file import decode, open_file, read_samples
from monitor.audio.sources.ffmpeg.network_stream import open_stream

__all__ = ["decode", "open_file", "open_stream", "read_samples", "to_float"]
