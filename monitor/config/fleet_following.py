"""Fleet settings: whether this monitor takes its labels from the broker, and whom it trusts with them."""

from __future__ import annotations

from pydantic import Field

from monitor.config.section import FilePath, Section


class FleetConfig(Section):
    """Labels that many monitors have in common, from the broker."""

    follow: bool = Field(
        default=False,
        description="Take the labels from the watchlist at the broker (clap-monitor fleet labels push), in "
        "the place of labels and include, as soon as there is one. Changes made at this monitor stay. Needs "
        "mqtt.host.",
    )
    public_key_file: FilePath | None = Field(
        default=None,
        description="File of the public key (Ed25519, PEM) with which the watchlist must be signed; needs "
        "the extra fleet. Unset: whoever may publish the watchlist at the broker decides the labels.",
    )
