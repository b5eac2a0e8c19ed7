"""``python -m monitor`` is ``clap-monitor``."""

from monitor.cli import main

if __name__ == "__main__":
    main()
