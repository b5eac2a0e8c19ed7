"""Reason codes of MQTT in plain words, with what to do about each.

Those of MQTT 3.1.1 (1 to 5) are given as the codes of MQTT 5 that mean the same.
"""

from __future__ import annotations

REFUSING = 128
"""Codes from this one on say that something failed."""

UNSUPPORTED_PROTOCOL, NOT_AUTHORISED, SHUTTING_DOWN, TAKEN_OVER = 132, 135, 139, 142
PACKET_TOO_LARGE, NO_RETAIN, NO_SUCH_QOS = 149, 154, 155
MALFORMED = frozenset({129, 130})

NOT_ABOUT_A_MESSAGE = frozenset({136, 137, 138, SHUTTING_DOWN, 141, TAKEN_OVER, 150, 152, 156, 157, 159, 160})
"""A broker that ends a connection with one of these does not do so because of what was published."""

_LOG = "its log may say why"

_CONNECTION = {
    128: f"refuses the connection and gives no reason: {_LOG}",
    129: "refuses the connection as malformed: try mqtt.protocol: 3.1.1",
    130: "refuses the connection as against the protocol: try mqtt.protocol: 3.1.1",
    131: f"refuses the connection for a reason of its own: {_LOG}",
    132: "does not speak this version of MQTT: set mqtt.protocol: auto",
    133: "refuses the client id {client_id}: set another mqtt.client_id",
    134: "says not authorised: check mqtt.username and mqtt.password_file",
    135: "says not authorised: check mqtt.username and mqtt.password_file",
    136: "says that it is unavailable at the moment",
    137: "says that it is too busy at the moment",
    138: "has banned this monitor: lift the ban there (client id {client_id})",
    140: "wants another way to log in than user and password",
    144: "refuses the topic of the last will: let this user write below mqtt.base_topic",
    149: "says that our request to connect is too large",
    151: "says that a quota is used up: raise the limits of this account at the broker",
    154: "refuses a retained last will",
    155: "refuses a last will with QoS 1",
    156: "asks to use another server for now{elsewhere}: set mqtt.host",
    157: "has moved to another server{elsewhere}: set mqtt.host",
    159: "says that this monitor connects too often",
}

_ENDED = {
    129: "closed the connection: it calls a packet malformed; try mqtt.protocol: 3.1.1",
    130: "closed the connection: it calls a packet against the protocol; try mqtt.protocol: 3.1.1",
    131: f"closed the connection for a reason of its own: {_LOG}",
    135: "closed the connection: not authorised for what was published or subscribed; check its access list",
    136: "closed the connection: it is unavailable at the moment",
    137: "closed the connection: it is too busy at the moment",
    138: "has banned this monitor: lift the ban there (client id {client_id})",
    139: "is shutting down",
    141: "closed the connection: it heard nothing of this monitor for longer than mqtt.keepalive_seconds",
    142: "closed the connection: another client uses the client id {client_id}: "
    "give each monitor a node or an mqtt.client_id of its own",
    143: "closed the connection: it does not take a topic filter that was subscribed to",
    144: "closed the connection: it does not take a topic that was published",
    147: "closed the connection: more messages were on their way than it takes at once",
    149: "closed the connection: a message is larger than it takes",
    150: "closed the connection: it calls the rate of messages too high",
    151: "closed the connection: a quota is used up; raise the limits of this account at the broker",
    152: "closed the connection: somebody who administers it asked for that",
    153: "closed the connection: it does not take the content of a message",
    154: "closed the connection: it does not take retained messages",
    155: "closed the connection: it does not take this quality of service (mqtt.qos)",
    156: "asks to use another server for now{elsewhere}: set mqtt.host",
    157: "has moved to another server{elsewhere}: set mqtt.host",
    159: "closed the connection: it says that this monitor connects too often",
    160: "closed the connection: it lets nobody stay connected for longer",
    161: "closed the connection: it does not take subscription identifiers",
    162: "closed the connection: it does not take wildcards in subscriptions",
}

_MESSAGE = {
    128: "no reason given",
    131: "for a reason of its own",
    135: "not authorised",
    143: "topic filter not allowed",
    144: "topic not allowed",
    145: "number of the message in use",
    146: "number of the message not known",
    147: "too many at once",
    149: "too large",
    151: "quota used up",
    153: "content not allowed",
    154: "no retained messages",
    155: "quality of service not supported",
    158: "no shared subscriptions",
    161: "no subscription identifiers",
    162: "no wildcards",
}


def explain_refused_connection(code: int, *, client_id: str, elsewhere: str = "") -> str:
    """Say why the broker does not let us in, as the end of a sentence that begins with its address.

    Parameters
    ----------
    code : int
    client_id : str
        Ours.
    elsewhere : str
        Server that the broker names; empty if it names none.
    """
    words = _CONNECTION.get(code, f"refuses the connection with the reason code {code}")
    return _filled(words, client_id, elsewhere)


def explain_end(code: int, *, client_id: str, elsewhere: str = "") -> str:
    """Say why the broker ended the connection; the parameters are those of `explain_refused_connection`."""
    words = _ENDED.get(
        code, "closed the connection" + (f" with the reason code {code}" if code > REFUSING else "")
    )
    return _filled(words, client_id, elsewhere)


def explain_refused_message(code: int) -> str:
    """Say in a few words why a message or a subscription is refused."""
    return _MESSAGE.get(code, f"reason code {code}")


def _filled(words: str, client_id: str, elsewhere: str) -> str:
    return words.format(client_id=repr(client_id), elsewhere=f" ({elsewhere})" if elsewhere else "")
