"""Terminal output: progress, the summary of a run, `status` and `watch`."""

from monitor.cli.console.progress import progress, report, steps
from monitor.cli.console.status_view import page

__all__ = ["page", "progress", "report", "steps"]
