"""Set-up actions: what the page asks of set-up; `monitor.daemon.first_run.set_up_service` does it."""

from __future__ import annotations

from typing import Any, Protocol

from monitor.config import BrokerChoice, CameraChoice, Choices


class SetUpActions(Protocol):
    """What the page asks for; see `monitor.daemon.first_run.set_up_service.SetUp`."""

    def overview(self) -> dict[str, Any]:
        """Return what set-up begins with."""

    def levels(self) -> list[dict[str, Any]]:
        """Return the level of every microphone."""

    def try_camera(self, camera: CameraChoice) -> list[dict[str, Any]]:
        """Connect to a camera, and listen to it."""

    def brokers(self) -> list[str]:
        """Return the names of brokers nearby."""

    def try_broker(self, broker: BrokerChoice, node: str) -> list[dict[str, Any]]:
        """Check each step to a broker."""

    def preview(self, choices: Choices) -> dict[str, Any]:
        """Return what would be written, and where."""

    def apply(self, choices: Choices, revision: str) -> str | None:
        """Write everything; return the new token of the page, None if there was one."""
