"""Commands about the labels of a fleet: fleet labels push, show, rollback, status."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, fleet_labels_app
from monitor.cli.fleet import OtherBroker, broker_of
from monitor.cli.options import Overrides, settings_from
from monitor.types import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.config import LabelConfig
    from monitor.fleet.published_watchlists import PublishedWatchlists
    from monitor.fleet.signature import Sign, Verify
    from monitor.fleet.watchlist import Watchlist

Key = Annotated[
    Path | None,
    typer.Option("--key", help="File of the private key (Ed25519, PEM) that signs. Default: not signed."),
]
Wait = Annotated[
    float, typer.Option("--wait", min=0, max=3600, help="Seconds to wait for the answers of the nodes.")
]


@fleet_labels_app.command()
def push(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="YAML with `labels`, or `include`, as a configuration.")
    ],
    config: ConfigFile = None,
    broker: OtherBroker = None,
    key: Key = None,
    wait: Wait = 30.0,
) -> None:
    """Give all following nodes these labels, and wait for their answers; exit code 1 if one refuses."""
    labels = _labels_of(file)
    _publish(config, broker, key, wait, lambda watchlists, sign: watchlists.push(labels, sign))


@fleet_labels_app.command()
def rollback(
    config: ConfigFile = None, broker: OtherBroker = None, key: Key = None, wait: Wait = 30.0
) -> None:
    """Give all following nodes the previous labels again; a second rollback returns to the newest ones."""
    _publish(config, broker, key, wait, lambda watchlists, sign: watchlists.roll_back(sign))


@fleet_labels_app.command()
def show(config: ConfigFile = None, broker: OtherBroker = None, as_json: AsJson = False) -> None:
    """Show the labels at the broker."""
    with _opened(config, broker, _configured_verifier(config)) as watchlists:
        current = watchlists.current
    if current is None:
        raise ConfigError("the broker has no watchlist: push one with clap-monitor fleet labels push")
    if as_json:
        print(current.text)
        return
    print(_title(current))
    for label in current.labels:
        mark = "on " if label.enabled else "off"
        print(f"{mark} {label.id:<20} {label.threshold:.2f}  {'; '.join(label.prompts)}")


@fleet_labels_app.command()
def status(config: ConfigFile = None, broker: OtherBroker = None, as_json: AsJson = False) -> None:
    """Show which nodes have the newest labels in force; exit code 1 if one refuses them, with its reason."""
    with _opened(config, broker, _configured_verifier(config)) as watchlists:
        current, followers = watchlists.current, watchlists.followers()
    told = [(state, state.watchlist) for state in followers if state.watchlist is not None]
    if as_json:
        for state, answer in told:
            lines = {"node": state.node, "online": state.online, "version": answer.version}
            print(json.dumps(lines | {"refused_version": answer.refused_version, "reason": answer.reason}))
    else:
        print("no watchlist" if current is None else _title(current))
        _print_answers(watchlists, None if current is None else current.version)
    raise typer.Exit(int(any(answer.reason is not None for _, answer in told)))


def _publish(
    config: Path | None,
    broker: str | None,
    key: Path | None,
    wait: float,
    publish: Callable[[PublishedWatchlists, Sign | None], Watchlist],
) -> None:
    sign, verify = None, _configured_verifier(config)
    if key is not None:
        from monitor.fleet.signature import read_signer

        sign, own = read_signer(key)
        verify = verify or own
    with _opened(config, broker, verify) as watchlists:
        watchlist = publish(watchlists, sign)
        print(_title(watchlist), flush=True)
        watchlists.wait_for_followers(watchlist.version, wait)
        _print_answers(watchlists, watchlist.version)
        refused = any(s.watchlist and s.watchlist.reason is not None for s in watchlists.followers())
    raise typer.Exit(int(refused))


def _print_answers(watchlists: PublishedWatchlists, version: int | None) -> None:
    followers = watchlists.followers()
    told = [(state, state.watchlist) for state in followers if state.watchlist is not None]
    for state, answer in told:
        if answer.reason is not None:
            print(f"{state.node}: refused: {answer.reason}")
        elif answer.version != version:
            what = "none" if answer.version is None else f"version {answer.version}"
            print(f"{state.node}: {'has' if state.online else 'is offline, and has'} {what} in force")
        for line in answer.left_out:
            print(f"{state.node}: changed at the node: {line}; left out")
    accepted = sum(answer.version == version and answer.reason is None for _, answer in told)
    print(f"{accepted} of {len(told)} following nodes have it in force")


def _title(watchlist: Watchlist) -> str:
    at = datetime.fromtimestamp(watchlist.pushed_at, UTC)
    signed = "signed" if '"signature":' in watchlist.text else "not signed"
    pushed = f"version {watchlist.version}, pushed {at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{pushed}, {len(watchlist.labels)} labels, {signed}"


def _labels_of(file: Path) -> tuple[LabelConfig, ...]:
    from monitor.config import load

    config = load(file)
    if "labels" not in config.model_fields_set:
        raise ConfigError(f"{file}: names no labels: write them under labels, or prompt packs under include")
    return config.labels


def _configured_verifier(config: Path | None) -> Verify | None:
    from monitor.fleet.signature import read_verifier

    path = settings_from(config, Overrides()).fleet.public_key_file
    return None if path is None else read_verifier(path)


def _opened(config: Path | None, broker: str | None, verify: Verify | None) -> PublishedWatchlists:
    from monitor.fleet.published_watchlists import PublishedWatchlists

    return PublishedWatchlists(broker_of(config, broker), verify)
