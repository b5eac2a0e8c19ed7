"""Checks of `clap-monitor doctor`: everything that `run` needs, one finding each."""

from monitor.cli.doctor.finding import Finding, verdict
from monitor.cli.doctor.run import examine

__all__ = ["Finding", "examine", "verdict"]
