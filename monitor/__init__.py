"""clap-monitor: a self-hosted monitor for any sound that a sentence can describe."""

__version__ = "0.1.0"
