"""CLAP: windows of audio and sentences -> unit vectors in one space."""

from monitor.model.clap import WARM_UPS, Clap

__all__ = ["WARM_UPS", "Clap"]
