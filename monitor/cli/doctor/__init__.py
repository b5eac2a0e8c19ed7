"""Checks of `clap-monitor doctor`: everything that `run` needs, one finding each."""

from monitor.cli.doctor.run import examine
from monitor.daemon.checks.finding import Finding, verdict

__all__ = ["Finding", "examine", "verdict"]
