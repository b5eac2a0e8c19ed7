"""Attacks on the page: bodies, parameters, headers, broken HTTP and broken frames that no client should send."""

# ruff: noqa: E501 - of its tables

import json
import random
import socket
import struct

from tests.support.web_server import TOKEN

WRITES = [
    ("POST", "/api/session", {"token": "x"}),
    ("POST", "/api/labels", {"prompts": ["a bell"], "id": "bell"}),
    ("PATCH", "/api/labels/dog", {"name": "Dog", "threshold": 0.5}),
    ("PUT", "/api/labels/dog/threshold", {"threshold": 0.5, "source": "crib"}),
    ("PUT", "/api/labels/dog/enabled", {"enabled": True}),
    ("POST", "/api/try", {"prompts": ["a bell"], "against": ["a drum"]}),
    ("PUT", "/api/armed", {"armed": True}),
    ("PUT", "/api/events/x/review", {"mark": "right"}),
    ("PUT", "/api/events/x/lock", {"locked": True}),
    ("DELETE", "/api/events/x", None),
    ("DELETE", "/api/labels/nothing", None),
    ("DELETE", "/api/session", None),
]
READS = {
    "/api/status": (),
    "/api/health": (),
    "/api/session": (),
    "/api/labels": (),
    "/api/spectrogram": ("source",),
    "/api/events": (
        "since", "until", "source", "label", "text", "review", "min_score", "with_clip", "after", "limit",
    ),
    "/api/events/{}": (),
    "/api/misses": ("since", "until", "source", "label", "reason", "after", "limit"),
    "/api/day": ("since", "until"),
    "/api/clips/{}/{}": ("download",),
    "/api/labels/{}/what-if": ("seconds", "source"),
    "/metrics": (),
    "/static/{}": (),
    "/docs": (),
    "/openapi.json": (),
}  # fmt: skip

VALUES = [
    "", " ", "0", "-1", "1", "nan", "inf", "-inf", "1e400", "1e308", "-0", "9" * 40, "9" * 4000, "0x10", "1_000",
    "٣", "true", "null", "None", "[]", "{}", "crib", "dog", "%00", "%ff%fe", "%ed%a0%80", "%F0%9F%90%B6", "a" * 3000,
    "..", "../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%5c..%5c", "'; DROP TABLE events;--", "%25s%25n",
    "1-1", "99999999999-999999999999999999", "1.5-0", "2026-01-01", "2026-13-99", "%0d%0aX:y", "%E2%80%AE", "*", '"',
]  # fmt: skip

SCALARS = [
    b'"\\ud800"', b'"\\udc00\\ud800"', b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"9" * 5000,
    b"9" * 30, b"-9223372036854775809", b"18446744073709551616", b"1e-400", b"0.1e1", b"-0.0", b"null", b"true",
    b'""', b'" "', b'"\\u0000"', b'"\\r\\n\\t"', b'"\xff"', b'"\xed\xa0\x80"', b'"\\u202e\\u200b"', b"[]", b"{}",
    b'[[[["a"]]]]', b'{"a":{"b":{}}}', b'"' + b"a" * 5000 + b'"', b'["a"]', b"0", b"1", b"01", b"+1", b".5",
    b'"\xf0\x9f\x90\xb6"', b"tru", b'"\\x"',
]  # fmt: skip
WHOLE = [
    b"", b" ", b"\x00", b"\xff\xfe", b"{", b"}", b'{"a"', b'{"a":1,}', b"[" * 50_000, b'{"a":' * 5_000,
    b"[" * 200 + b"]" * 200, b'"x"', b"1", b"null", b"NaN", b"[]", b"{}", b"{}{}", b"\xef\xbb\xbf{}",
    json.dumps({"token": "x"}).encode("utf-16"), json.dumps({"token": "x"}).encode("utf-32"),
    b'{"token":"a","token":"b"}', b'{"\\ud800":1}', b'{"":1}', b"token=x", b"--x\r\n\r\n--x--", b"a" * 70_000,
]  # fmt: skip
TYPES = [
    "application/json", "application/json; charset=utf-16", "application/json;charset=\xff", "application/problem+json",
    "text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "", "/",
    "application/", ";", "application/json, text/plain", "a" * 2000, "\xff",
]  # fmt: skip
HEADERS = [
    ("Cookie", "clap_monitor_session=\xff.\xff"), ("Cookie", "clap_monitor_session=" + "9" * 3000 + ".x"),
    ("Cookie", ";;;=;=a;clap_monitor_session"), ("Cookie", "clap_monitor_session=99999999999.é"),
    ("Authorization", "Bearer"), ("Authorization", "Bearer \xff\xfe"), ("Authorization", "Basic " + "=" * 300),
    ("Origin", "null"), ("Origin", "http://[::1"), ("Origin", "https://a@b"), ("Origin", "http://localhost:99999"),
    ("Origin", "\xff"), ("Sec-Fetch-Site", "\xff"), ("X-Forwarded-For", "\xff,,,"), ("Forwarded", "for=;;"),
    ("Range", "bytes=a-b"), ("Range", "bytes=" + "0-0," * 200), ("Range", "\xff"), ("Range", "bytes=-0"),
    ("If-Range", "\xff"), ("If-Modified-Since", "99999999999999"), ("If-Modified-Since", "Mon, 99 Foo 99999 99:99:99 GMT"),
    ("If-None-Match", "\xff"), ("Accept", "\xff"), ("Accept-Encoding", "\xff;q=x"), ("Expect", "100-continue"),
    ("Upgrade", "h2c"), ("Upgrade", "websocket"), ("Connection", "upgrade, close"), ("Connection", "\xff"),
    ("TE", "trailers"), ("Content-Encoding", "gzip"), ("X-HTTP-Method-Override", "DELETE"), ("Host", "evil.example"),
]  # fmt: skip
HOSTS = [
    "localhost", "127.0.0.1", "[::1]:80", "localhost.", "LOCALHOST:8095", "a@localhost", "localhost:", "localhost:x",
    "localhost:99999999", "::1", "[::1", "[::1%25lo]", "127.1", "0x7f000001", "2130706433", "localhost..", ".localhost",
    "localhost/", "localhost, evil", "evil.example", "\xff", "", "127.0.0.1:80:80", "[127.0.0.1]", "localhost#", "*",
]  # fmt: skip
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get"]

UPGRADE = (
    b"GET /api/live/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def a_request(chance: random.Random) -> bytes:
    """Return a request that is HTTP, and of which something is not what it should be."""
    if chance.random() < 0.6:
        method, path, body = chance.choice(WRITES)
        content = _body(chance, body)
    else:
        path = chance.choice(sorted(READS))
        names = READS[path]
        method, content = "GET" if chance.random() < 0.8 else chance.choice(METHODS), b""
        path = path.replace("{}", "%s").replace("%s", "{}")
        path = path.format(*(chance.choice(VALUES).replace(" ", "+") for _ in range(path.count("{}"))))
        if names:
            asked = [f"{chance.choice(names)}={chance.choice(VALUES)}" for _ in range(chance.randint(0, 6))]
            path += "?" + "&".join(asked).replace(" ", "+")
    if chance.random() < 0.05:
        path = chance.choice(
            ["*", "http://evil/api/status", "//api/status", "/api//status", "/%2e/api", "x", path * 99]
        )
    head = [f"{method} {path} HTTP/1.{chance.choice('1111110')}"]
    head.append(f"Host: {chance.choice(HOSTS) if chance.random() < 0.1 else 'localhost'}")
    if chance.random() < 0.85:
        head.append(f"Authorization: Bearer {TOKEN}")
    kind = "application/json" if chance.random() < 0.8 else chance.choice(TYPES)
    head += [f"Content-Type: {kind}", "Connection: close"]
    head += [f"{name}: {value}" for name, value in chance.choices(HEADERS, k=chance.choice([0, 0, 0, 1, 2]))]
    if chance.random() < 0.03:
        head += [
            f"X-{number}: {'a' * chance.choice([1, 300])}" for number in range(chance.choice([60, 200, 600]))
        ]
    return _encoded("\r\n".join(head)) + _framed(chance, content)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8") if any(ord(each) > 255 for each in text) else text.encode("latin-1")


def _body(chance: random.Random, body: dict[str, object] | None) -> bytes:
    if body is None or chance.random() < 0.25:
        return chance.choice(WHOLE)
    pairs = []
    for key, value in body.items():
        known = json.dumps(value).encode()
        if chance.random() < 0.4:
            scalar = chance.choice(SCALARS)
            known = b"[" + scalar + b"]" if isinstance(value, list) and chance.random() < 0.6 else scalar
        pairs.append(json.dumps(key).encode() + b":" + known)
    if chance.random() < 0.1:
        pairs.append(chance.choice(pairs or [b'"a":1']))
    return b"{" + b",".join(pairs) + b"}"


def _framed(chance: random.Random, content: bytes) -> bytes:
    """Return the end of the head and the body, mostly as it should be."""
    way = chance.random()
    if way < 0.8:
        return b"\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    if way < 0.9:
        chunk = b"%x\r\n" % len(content) + content + b"\r\n" if content else b""
        return b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n"
    wrong = chance.choice(
        [b"-1", b"1e3", b"99999999999999999999", b"0x10", b"3, 3", b"", b"%d" % max(0, len(content) - 1)]
    )
    return b"\r\nContent-Length: " + wrong + b"\r\n\r\n" + content


def broken_bytes(chance: random.Random) -> bytes:  # noqa: PLR0911 - one for each kind
    """Return what is not HTTP, or no longer."""
    whole = a_request(chance)
    match chance.randrange(8):
        case 0:
            return chance.randbytes(chance.choice([1, 100, 40_000]))
        case 1:
            return whole[: chance.randrange(len(whole))]
        case 2:
            at = chance.randrange(len(whole))
            return whole[:at] + chance.randbytes(chance.randint(1, 8)) + whole[at + 1 :]
        case 3:
            return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(300)  # TLS
        case 4:
            return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + chance.randbytes(40)
        case 5:
            return whole + chance.choice([b"zz\r\n", b"\r\n\r\n", chance.randbytes(50), whole])
        case 6:
            head = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            return head + chance.choice(
                [
                    b"zz\r\n",
                    b"-1\r\n",
                    b"5\r\nhel",
                    b"f" * 20 + b"\r\n",
                    b"5;" + b"x" * 20_000,
                    b"1\r\nab\r\n",
                ]
            )
        case _:
            return b"GET /" + b"a" * chance.choice([5_000, 70_000]) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"


def broken_frames(chance: random.Random) -> tuple[bytes, bytes]:
    """Return how a WebSocket begins, mostly as it should, and how it goes on as it should not."""
    head = UPGRADE
    if chance.random() < 0.3:
        head += chance.choice(
            [
                b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Sec-WebSocket-Key: x\r\n",
                b"Sec-WebSocket-Protocol: \xff\r\n", b"Sec-WebSocket-Extensions: permessage-deflate; x=\xff\r\n",
                b"Origin: https://evil.example\r\n", b"Upgrade: h2c\r\n", b"X-A: b\r\n" * 200, b"Host: x\r\n",
                b"Sec-WebSocket-Version: 8\r\n", b"Cookie: \xff\r\n",
            ]
        )  # fmt: skip
    frames = [_frame(chance) for _ in range(chance.randint(1, 30))]
    return head + b"\r\n", b"".join(frames)


def _frame(chance: random.Random) -> bytes:
    opcode = chance.choice([0, 0, 1, 2, 3, 8, 9, 9, 10, 11, 15])
    payload = chance.randbytes(chance.choice([0, 0, 1, 2, 125]))
    first = opcode | (0x80 if chance.random() < 0.6 else 0) | (chance.choice([0, 0, 0, 0x40]))
    if chance.random() < 0.1:
        return (
            bytes([first, 0x80 | 127]) + struct.pack("!Q", chance.choice([2**63, 2**40, 5000])) + b"\0\0\0\0"
        )
    masked = 0x80 if chance.random() < 0.95 else 0
    return bytes([first, masked | len(payload)]) + (b"\0\0\0\0" if masked else b"") + payload


def send(
    port: int, data: bytes, *, then: bytes | None = b"", address: str = "127.0.0.1", wait: float = 60.0
) -> bytes:
    """Send bytes, and other ones once the head of an answer has come; return what comes until the other end closes.

    Without anything to send ``then`` (None), nothing says that no more will follow.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), wait, (address, 0)) as connection:
        try:
            connection.sendall(data)
            if then:
                while b"\r\n\r\n" not in answer and (part := connection.recv(65_536)):
                    answer += part
                connection.sendall(then)
            if then is not None:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                answer += part
        except TimeoutError:
            raise
        except OSError:  # it has hung up on us, as it may
            pass
    return answer


def attack(port: int, chance: random.Random, **how) -> list[int]:
    """Send one thing of a kind by chance, ``how`` as for `send`; return the status of every answer."""
    kind = chance.randrange(4)
    if kind < 2:
        return statuses(send(port, a_request(chance), then=None, **how))
    if kind == 2:
        return statuses(send(port, broken_bytes(chance), **how))
    head, frames = broken_frames(chance)
    return statuses(send(port, head, then=frames, **how))


def statuses(answer: bytes) -> list[int]:
    """Return the status of every answer that came over one connection."""
    return [int(part[2:5]) for part in answer.split(b"HTTP/1.")[1:] if part[2:5].isdigit()]
