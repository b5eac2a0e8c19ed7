"""Live view: what is detected now, for the page and for clap-monitor watch."""
