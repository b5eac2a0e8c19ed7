"""Findings: the result of a check and how to fix it, in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.types import ExitCode

_WIDTH = 13


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check; made by `good`, `warning` and `failure`."""

    check: str
    """Name of the check, one word."""
    text: str
    fix: str = ""
    """How to fix it; empty if there is nothing to fix, or ``text`` says it."""
    warns: bool = False
    exit_code: int = 0
    """Exit code of the failure; 0 if it is none."""

    @property
    def state(self) -> str:
        """``ok``, ``warn`` or ``FAIL``."""
        return "FAIL" if self.exit_code else "warn" if self.warns else "ok"

    def as_text(self) -> str:
        """Return one line."""
        fix = f"; fix: {self.fix}" if self.fix else ""
        return f"{self.state:<4}  {self.check:<{_WIDTH}}  {' '.join((self.text + fix).split())}"

    def as_json(self) -> str:
        """Return one JSON object: ``check``, ``state``, ``text``, ``fix``, ``exit_code``."""
        content = {
            "check": self.check,
            "state": self.state.lower(),
            "text": self.text,
            "fix": self.fix or None,
            "exit_code": int(self.exit_code),
        }
        return json.dumps(content, ensure_ascii=False)


def good(check: str, text: str) -> Finding:
    """Return a check that passed."""
    return Finding(check, text)


def warning(check: str, text: str, fix: str = "") -> Finding:
    """Return a check that passed with reservations."""
    return Finding(check, text, fix, warns=True)


def failure(check: str, text: str, code: ExitCode, fix: str = "") -> Finding:
    """Return a check that failed."""
    return Finding(check, text, fix, exit_code=code)


def verdict(findings: Sequence[Finding]) -> str:
    """Return a summary in one line."""
    failures = sum(finding.state == "FAIL" for finding in findings)
    warnings = sum(finding.state == "warn" for finding in findings)
    if not failures and not warnings:
        return "no problems found"
    return f"{failures} failures, {warnings} warnings"
