"""Processor: cores that this process may use, and how many of them are free."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16", "svebf16"})
"""Flags of /proc/cpuinfo for bfloat16 products, on Intel, AMD and ARM; without them emulation is slow."""


def free_cores(root: Path = Path("/"), load: float | None = None) -> int:
    """Return the cores that this process may use and that are free; at least 1.

    ``root`` holds /proc and /sys; ``load`` is the number of runnable processes, by default the load average.
    """
    busy = os.getloadavg()[0] if load is None else load
    return max(1, int(allowed_cores(root) - busy + 0.5))


def give_way(niceness: int = 10) -> None:
    """Lower the priority of this process: audio cannot wait.  A sandbox may refuse it."""
    with suppress(PermissionError):
        os.nice(niceness)


def allowed_cores(root: Path = Path("/")) -> float:
    """Return the cores allowed by CPU affinity and by the quotas of the control groups."""
    quotas = [quota for group in _groups(root) if (quota := _quota(group)) is not None]
    return min([float(len(os.sched_getaffinity(0))), *quotas])


def has_bfloat16(root: Path = Path("/")) -> bool:
    """Return whether the processor has bfloat16 products."""
    try:
        lines = (root / "proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return not _BFLOAT16.isdisjoint(flags.split())


def _groups(root: Path) -> list[Path]:
    """Return the directories of the control groups, version 2 and 1, from the innermost outwards."""
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
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
            return None if quota == "max" else int(quota) / int(period)
        limit = int((group / "cpu.cfs_quota_us").read_text())
        return limit / int((group / "cpu.cfs_period_us").read_text()) if limit > 0 else None
    except (OSError, ValueError):
        return None
