"""What `clap-monitor doctor` looks at: everything that `run` needs, one finding each."""

from monitor.doctor.examine import examine
from monitor.doctor.finding import Finding, verdict

__all__ = ["Finding", "examine", "verdict"]
