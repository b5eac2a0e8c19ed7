"""What people see on their terminal: progress, the summary, the state of the monitor, what it hears now."""

from monitor.cli.console.progress import progress, report, steps
from monitor.cli.console.status_view import page

__all__ = ["page", "progress", "report", "steps"]
