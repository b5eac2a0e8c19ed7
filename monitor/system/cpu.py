"""What this process may use of the machine's processor, and what is free of that."""

from __future__ import annotations

import os
from pathlib import Path

_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16", "svebf16"})
"""How /proc/cpuinfo names products in bfloat16, on Intel, AMD and ARM; without it is emulated, slowly."""


def free_cores(root: Path = Path("/"), load: float | None = None) -> int:
    """Cores that this process may run on and that others leave free; at least 1.

    Parameters
    ----------
    root : Path
        Where /proc and /sys are.
    load : float, optional
        Processes that want to run; None: as the kernel says, of the last minute.
    """
    busy = os.getloadavg()[0] if load is None else load
    return max(1, int(allowed_cores(root) - busy + 0.5))


def allowed_cores(root: Path = Path("/")) -> float:
    """Cores by affinity and by the quotas of the control groups this process is in."""
    quotas = [quota for group in _groups(root) if (quota := _quota(group)) is not None]
    return min([float(len(os.sched_getaffinity(0))), *quotas])


def has_bfloat16(root: Path = Path("/")) -> bool:
    """Tell whether the processor multiplies in bfloat16 itself."""
    try:
        lines = (root / "proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return not _BFLOAT16.isdisjoint(flags.split())


def _groups(root: Path) -> list[Path]:
    """Directories of the control groups, version 2 and 1, from the innermost outwards."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        inner = top / path.lstrip("/")
        found += [inner, *(outer for outer in inner.parents if outer.is_relative_to(top))]
    return found


def _quota(group: Path) -> float | None:
    """Cores that a control group may use in all; None if there is no limit."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
            return None if quota == "max" else int(quota) / int(period)
        limit = int((group / "cpu.cfs_quota_us").read_text())
        return limit / int((group / "cpu.cfs_period_us").read_text()) if limit > 0 else None
    except (OSError, ValueError):
        return None
