"""Hosts and ports, parsed strictly."""

import pytest

from monitor.config.authority import Authority, parse_authority, parse_origin, spell_origin


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost", "localhost", None),
        ("LOCALHOST:8095", "localhost", 8095),
        ("localhost.", "localhost", None),
        ("nas.home.example:443", "nas.home.example", 443),
        ("my_host-1", "my_host-1", None),
        ("xn--hhle-5qa.example", "xn--hhle-5qa.example", None),
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("[::1]", "::1", None),
        ("[FE80::1]:65535", "fe80::1", 65535),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1", None),
    ],
)
def test_a_host_and_perhaps_a_port(text, host, port):
    assert parse_authority(text) == Authority(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "localhost..", ".localhost", "a..b", "a@localhost", "localhost:", "localhost:x",
        "localhost:0",
        "localhost:65536", "localhost:080800", "localhost:-1", "localhost:+1", "localhost: 1",
        " localhost", "localhost ",
        "localhost/", "localhost?", "localhost#", "localhost\\", "localhost;", "localhost,evil", "a b",
        "a\tb", "a\r\nb",
        "::1", "[::1", "::1]", "[]", "[::1]x", "[::1%25eth0]", "[::1%eth0]", "[127.0.0.1]", "[localhost]",
        "[[::1]]",
        "127.1", "127.0.0.256", "0x7f.1", "2130706433", "1.2.3", "127.0.0.1:80:80", "höhle",
        "localho\u017ft", "l\u0660",
        "localhost:\u0661", "-a", "a-", "*", "*.home", "a" * 64, "a." * 130, "\x00", "\xff", "\ud800",
    ],
)  # fmt: skip
def test_what_is_no_host(text):
    assert parse_authority(text) is None


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("http://localhost:8095", "http://localhost:8095"),
        ("HTTPS://Home.Example", "https://home.example"),
        ("https://home.example:443", "https://home.example"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_is_spelled_as_browsers_do(text, spelled):
    assert spell_origin(*parse_origin(text)) == spelled


@pytest.mark.parametrize(
    "text",
    [
        "null", "", "localhost", "//localhost", "ftp://a", "file://", "http://", "http://a/", "http://a?x",
        "http://a#",
        "http://u@a", "http://a b", "http://a;script-src *", "http://a\r\nX: y", "http://a\n", "http:/a",
        "http://*",
        "http://*.a", "http://ä", "https://a:b", "'self'", "http://a http://b", "javascript:x",
    ],
)  # fmt: skip
def test_what_is_no_origin(text):
    assert parse_origin(text) is None
