"""What people see on their terminal: progress, the summary, the state of the monitor, what it hears now."""

from monitor.console.page import page
from monitor.console.report import progress, report, steps

__all__ = ["page", "progress", "report", "steps"]
