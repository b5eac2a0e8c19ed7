"""FFmpeg sources: sound files and network streams of any common format.

Only this package imports PyAV.  Files keep every sample; streams stay at the live edge.
"""

from monitor.audio.sources.ffmpeg.decoder import to_float
from monitor.audio.sources.ffmpeg.file import (
    FileMetadata,
    decode,
    open_file,
    open_recording,
    read_metadata,
    read_samples,
)
from monitor.audio.sources.ffmpeg.network_stream import open_stream, probe

__all__ = [
    "FileMetadata",
    "decode",
    "open_file",
    "open_recording",
    "open_stream",
    "probe",
    "read_metadata",
    "read_samples",
    "to_float",
]
