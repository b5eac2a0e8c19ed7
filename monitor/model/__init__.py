"""CLAP: windows of audio and sentences -> unit vectors in one space."""

from monitor.model.clap import Clap

__all__ = ["Clap"]
