"""What was found: one line, whether it is well, and what mends it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

_WIDTH = 13


class Code(IntEnum):
    """Exit code of each kind of failure; of ``sysexits.h``, and those of `run` where it has one."""

    MODEL = 65
    SOURCE = 66
    LOGIN = 67
    DNS = 68
    TCP = 69
    CLOCK = 71
    DISK = 73
    DEAD = 74
    PUBLISH = 75
    TLS = 76
    PERMISSION = 77
    CONFIGURATION = 78


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, and what came of it; made by `good`, `warning` and `failure`."""

    check: str
    """What was looked at: one word."""
    says: str
    fix: str = ""
    """What to do about it; empty if there is nothing to do, or ``says`` has it."""
    warns: bool = False
    exit_code: int = 0
    """Of the kind of failure; 0 if it is none."""

    @property
    def state(self) -> str:
        """``ok``, ``warn`` or ``FAIL``."""
        return "FAIL" if self.exit_code else "warn" if self.warns else "ok"

    def as_text(self) -> str:
        """Return one line for people."""
        fix = f"; fix: {self.fix}" if self.fix else ""
        return f"{self.state:<4}  {self.check:<{_WIDTH}}  {' '.join((self.says + fix).split())}"

    def as_json(self) -> str:
        """Return one JSON object: ``check``, ``state``, ``says``, ``fix``, ``exit_code``."""
        content = {
            "check": self.check,
            "state": self.state.lower(),
            "says": self.says,
            "fix": self.fix or None,
            "exit_code": int(self.exit_code),
        }
        return json.dumps(content, ensure_ascii=False)


def good(check: str, says: str) -> Finding:
    """All is well."""
    return Finding(check, says)


def warning(check: str, says: str, fix: str = "") -> Finding:
    """It works, and will disappoint."""
    return Finding(check, says, fix, warns=True)


def failure(check: str, says: str, code: Code, fix: str = "") -> Finding:
    """It does not work."""
    return Finding(check, says, fix, exit_code=code)


def verdict(findings: Sequence[Finding]) -> str:
    """Sum up in one line."""
    failures = sum(finding.state == "FAIL" for finding in findings)
    warnings = sum(finding.state == "warn" for finding in findings)
    if not failures and not warnings:
        return "everything is well"
    return f"{failures} failures, {warnings} warnings"
