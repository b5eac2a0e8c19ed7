"""clap-monitor: a self-hosted monitor for any sound that a text prompt can describe."""

__version__ = "0.1.0"
