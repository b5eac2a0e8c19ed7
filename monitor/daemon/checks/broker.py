"""Broker checks, step by step: name, port, encryption, login, messages."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from functools import partial

from monitor.config import MqttConfig, read_password
from monitor.daemon.checks.finding import Finding, failure, good, warning
from monitor.daemon.checks.mqtt_messages import Session, messages
from monitor.outputs.mqtt.connection import ConnectionProfile
from monitor.outputs.mqtt.connection_events import Connected, Disconnected
from monitor.outputs.mqtt.negotiation import MQTT_3, VERSIONS, LastWill, Negotiation
from monitor.outputs.mqtt.tls import (
    CONNECT_SECONDS,
    NOT_MQTT,
    broker_address,
    explain_connect_error,
    tls_context,
)
from monitor.outputs.mqtt.topics import Topics
from monitor.types import ConfigError, ExitCode

SILENT = Disconnected(NOT_MQTT.format("no answer so far"), unanswered=True)


def broker(config: MqttConfig, *, node: str) -> Iterator[Finding]:
    """Check each step of the connection; stop at the first one that fails.

    Test messages go below ``BASE/NODE/doctor`` and, empty, to the discovery topic of a device that does not
    exist; nothing stays retained.  The client id differs from that of the monitor, which the broker would
    disconnect otherwise.
    """
    if config.host is None:
        yield good("broker", "not configured (mqtt.host)")
        return
    try:
        where, context, password = broker_address(config), tls_context(config), read_password(config)
    except ConfigError as error:
        yield failure("broker", str(error), ExitCode.CONFIGURATION)
        return
    steps = [partial(_look_up, config.host, where), partial(_reach, config.host, config.port, where)]
    if context is not None:
        steps.append(partial(_encrypt, context, config.host, config.port, where))
    for step in steps:
        finding = step()
        yield finding
        if finding.exit_code:
            return
    profile = ConnectionProfile(
        config=config,
        client_id=f"{config.client_id or f'clap-monitor-{node}'}-doctor",
        password=password,
        tls=context,
        will_topic=Topics(config.base_topic, node).source_status("doctor"),
        max_queued=10,
    )
    negotiation = Negotiation(config.protocol)
    finding = _log_in(profile, negotiation, where)
    yield finding
    if not finding.exit_code:
        yield from messages(profile, negotiation.options, node=node, where=where)


def _look_up(host: str, where: str) -> Finding:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        fix = f"check `getent hosts {host}`, or use an IP address"
        return failure("dns", f"{where} {explain_connect_error(error, tls=False)}", ExitCode.DNS, fix)
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return good("dns", f"{host} is {', '.join(addresses)}")


def _reach(host: str, port: int, where: str) -> Finding:
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        fix = "mosquitto without a `listener` in its configuration accepts local connections only"
        return failure("tcp", f"{where} {explain_connect_error(error, tls=False)}", ExitCode.UNREACHABLE, fix)
    return good("tcp", f"{where} accepts connections")


def _encrypt(context: ssl.SSLContext, host: str, port: int, where: str) -> Finding:
    try:
        with (
            socket.create_connection((host, port), CONNECT_SECONDS) as channel,
            context.wrap_socket(channel, server_hostname=host) as encrypted,
        ):
            return good("tls", f"{where} {encrypted.version()}, trusted certificate")
    except OSError as error:
        fix = f"the certificate must be for {host} and signed by a CA in mqtt.ca_file"
        return failure("tls", f"{where} {explain_connect_error(error, tls=True)}", ExitCode.TLS, fix)


def _log_in(profile: ConnectionProfile, negotiation: Negotiation, where: str) -> Finding:
    """Connect as the monitor does, with fallbacks."""
    first: Disconnected | None = None
    for _ in range(2 * len(LastWill) + 2):
        options = negotiation.options
        with Session(profile, options) as session:
            answer = session.wait_for(Connected) or SILENT
        if isinstance(answer, Connected):
            if negotiation.connected():
                return _let_in(profile, negotiation, where)
            continue
        first = first or answer
        negotiation.refused(answer)
        lesser = negotiation.options != options and options.will is not LastWill.NONE
        if not lesser or (answer == SILENT and options.protocol == MQTT_3):
            break
    why = "closed the connection" if first is None or first.reason is None else first.reason
    fix = "check the user and password in the broker, and that this port speaks MQTT"
    return failure("login", f"{where} {why}", ExitCode.LOGIN, fix)


def _let_in(profile: ConnectionProfile, negotiation: Negotiation, where: str) -> Finding:
    who, options = profile.config.username or "anonymous", negotiation.options
    text = f"{where} accepts {who} with {VERSIONS[options.protocol]}"
    if options.will is LastWill.RETAINED:
        return good("login", text)
    fix = "allow retained messages in the broker; otherwise a crash of the monitor goes unnoticed"
    return warning("login", f"{text}, but no retained last will ({options.will.value})", fix)
