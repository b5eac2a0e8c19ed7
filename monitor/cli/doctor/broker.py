"""The way to the broker, step by step: name, port, encryption, login, and what it takes and delivers."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from functools import partial

from monitor.cli.doctor.finding import Code, Finding, failure, good, warning
from monitor.cli.doctor.mqtt_messages import Session, messages
from monitor.config import MqttConfig, read_password
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
from monitor.types import ConfigError

SILENT = Disconnected(NOT_MQTT.format("no answer so far"), unanswered=True)


def broker(config: MqttConfig, *, node: str) -> Iterator[Finding]:
    """Go as far as the broker lets us; without a login, the last finding is the step that failed.

    What is published goes below ``BASE/NODE/doctor`` and, without content, to the description of a device
    that Home Assistant does not know; nothing stays retained.  The client id is not the monitor's own, which
    the broker would disconnect.

    Parameters
    ----------
    config : MqttConfig
    node : str
        Name of this monitor.
    """
    if config.host is None:
        yield good("broker", "none is configured (mqtt.host)")
        return
    try:
        where, context, password = broker_address(config), tls_context(config), read_password(config)
    except ConfigError as error:
        yield failure("broker", str(error), Code.CONFIGURATION)
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
        fix = f"an IP address always works; `getent hosts {host}` asks the same name servers"
        return failure("dns", f"{where} {explain_connect_error(error, tls=False)}", Code.DNS, fix)
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return good("dns", f"{host} is {', '.join(addresses)}")


def _reach(host: str, port: int, where: str) -> Finding:
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        fix = (
            "a mosquitto without a `listener` in its configuration takes connections of its own machine only"
        )
        return failure("tcp", f"{where} {explain_connect_error(error, tls=False)}", Code.TCP, fix)
    return good("tcp", f"{where} takes connections")


def _encrypt(context: ssl.SSLContext, host: str, port: int, where: str) -> Finding:
    try:
        with (
            socket.create_connection((host, port), CONNECT_SECONDS) as channel,
            context.wrap_socket(channel, server_hostname=host) as encrypted,
        ):
            return good("tls", f"{where} speaks {encrypted.version()}, and its certificate is trusted")
    except OSError as error:
        fix = f"the certificate must name {host} and be signed by an authority of mqtt.ca_file"
        return failure("tls", f"{where} {explain_connect_error(error, tls=True)}", Code.TLS, fix)


def _log_in(profile: ConnectionProfile, negotiation: Negotiation, where: str) -> Finding:
    """Connect as the monitor does, on lesser options if it must be."""
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
    fix = "the broker must know this user and password, and take MQTT on this port"
    return failure("login", f"{where} {why}", Code.LOGIN, fix)


def _let_in(profile: ConnectionProfile, negotiation: Negotiation, where: str) -> Finding:
    who, options = profile.config.username or "anonymous", negotiation.options
    says = f"{where} lets {who} in and speaks {VERSIONS[options.protocol]}"
    if options.will is LastWill.RETAINED:
        return good("login", says)
    fix = "let the broker keep retained messages; else nobody is told that the monitor crashed"
    return warning("login", f"{says}, but takes no retained last will ({options.will.value})", fix)
