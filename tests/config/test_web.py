"""Web section: where the page is served, who may use it, and its token."""

import pytest

from monitor.config import Config, WebConfig, load, read_listen_token, read_token, serve_at
from monitor.types import ConfigError

GOOD = "0123456789abcdef"


def complaint(tmp_path, text):
    path = tmp_path / "monitor.yaml"
    path.write_text(f"web: {text}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{host: sounds.home}", 'web.host: "sounds.home" is not an IP address of this machine'),
        ("{prefix: sounds}", 'web.prefix: "sounds" is not a path'),
        ("{prefix: /a/../b}", "is not a path"),
        ("{public_url: home.example}", "is not an address"),
        ("{public_url: 'https://me:secret@home.example'}", "is not an address"),
        ("{allowed_origins: ['https://home.example/path']}", "contains more than an origin"),
        ("{allowed_hosts: ['home.example:80']}", "is not a name"),
        ("{token_file: a, token_env: B}", "cannot be combined with token_file"),
        ("{listen_token_file: a, listen_token_env: B}", "cannot be combined with listen_token_file"),
        ("{allowed_origins: ['https://a.example; script-src *']}", "is not an origin"),
        ('{allowed_origins: ["https://a.example\\r\\nX: y"]}', "is not an origin"),
        ('{allowed_origins: ["https://a\\r\\n.example"]}', "is not an origin"),
        ('{allowed_origins: ["https://a\\t.example"]}', "is not an origin"),
        ("{allowed_origins: ['https://höhle.example']}", "is not an origin"),
        ("{allowed_origins: ['https://a.example:99999']}", "is not an origin"),
        ("{allowed_origins: ['https://*.example']}", "is not an origin"),
        ("{allowed_origins: ['null']}", "is not an origin"),
        ("{allowed_origins: [\"'none'\"]}", "is not an origin"),
        ('{public_url: "https://a.example;x"}', "is not an address"),
        ('{public_url: "https://a\\n.example"}', "is not an address"),
        ('{public_url: "https://a.example/\\n"}', "contains more than an address and a path"),
        ('{public_url: "https://a.example/ä"}', "write other characters as in %20"),
        ("{public_url: 'https://a.example?x'}", "contains more than an address and a path"),
        ("{allowed_hosts: ['a;b']}", "is not a name"),
        ('{allowed_hosts: ["a\\r\\nb"]}', "is not a name"),
        ("{allowed_hosts: ['höhle']}", "is not a name"),
        ("{trusted_proxies: [nginx]}", "is not an IP address or a network"),
        ("{trusted_proxies: ['10.0.0.1/8']}", "is not an IP address or a network"),
        ("{port: 70000}", "is not in [0, 65535]"),
    ],
)
def test_what_cannot_be_is_said_in_words(tmp_path, text, words):
    assert words in complaint(tmp_path, text)


def test_a_page_for_everyone_needs_a_token_or_a_word(tmp_path):
    said = complaint(tmp_path, "{enabled: true, host: 0.0.0.0}")
    assert "web.public_read: is false, and host 0.0.0.0 lets others connect" in said
    for more in ({"token_env": "T"}, {"public_read": True}):
        assert not WebConfig(enabled=True, host="0.0.0.0", **more).local
    assert WebConfig(enabled=True, host="::1").local


def test_listening_needs_a_token_of_its_own(tmp_path):
    said = complaint(tmp_path, "{listen: true, token_file: a}")
    assert "web.listen: needs a token of its own; name one by listen_token_file or listen_token_env" in said
    assert WebConfig(listen=True, listen_token_env="L").listen
    (tmp_path / "token").write_text("short\n")
    with pytest.raises(ConfigError, match=r"web\.listen_token_file: the token must be 16 to 200 letters"):
        read_listen_token(WebConfig(listen_token_file=tmp_path / "token"), {})
    assert read_listen_token(WebConfig(listen_token_env="L"), {"L": GOOD}) == GOOD


def test_what_can_be_is_spelled_in_one_way():
    web = WebConfig(
        allowed_origins=["HTTPS://Home.Example:443/", "http://[::1]:8123"],
        allowed_hosts=["NAS.", "10.0.0.5"],
        public_url="https://Home.Example/sounds/",
        trusted_proxies=["127.0.0.1", "172.18.0.0/16", "fd00::/8"],
    )
    assert web.allowed_origins == ("https://home.example", "http://[::1]:8123")
    assert web.allowed_hosts == ("nas", "10.0.0.5")
    assert web.public_url == "https://Home.Example/sounds"
    assert web.trusted_proxies == ("127.0.0.1/32", "172.18.0.0/16", "fd00::/8")
    assert web.proxied
    assert not WebConfig().proxied


@pytest.mark.parametrize("token", ["short", "with a space in it", "x" * 201, "ümläute sind nichts"])
def test_a_token_that_is_no_good_one_is_refused_and_not_repeated(tmp_path, token):
    (tmp_path / "token").write_text(token)
    with pytest.raises(ConfigError, match="openssl rand") as caught:
        read_token(WebConfig(token_file=tmp_path / "token"), {})
    assert token not in str(caught.value)


def test_the_token_comes_from_a_file_or_from_the_environment(tmp_path):
    (tmp_path / "token").write_text(f"{GOOD}\n")
    assert read_token(WebConfig(token_file=tmp_path / "token"), {}) == GOOD
    assert read_token(WebConfig(token_env="T"), {"T": GOOD}) == GOOD
    assert read_token(WebConfig(), {}) is None
    with pytest.raises(ConfigError, match=r"web\.token_env: the environment variable T is not set"):
        read_token(WebConfig(token_env="T"), {})


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("", "127.0.0.1", 8095),
        ("9000", "127.0.0.1", 9000),
        (":9000", "127.0.0.1", 9000),
        ("127.0.0.2", "127.0.0.2", 8095),
        ("127.0.0.2:9000", "127.0.0.2", 9000),
        ("[::1]:9000", "::1", 9000),
    ],
)
def test_the_command_line_says_where(address, host, port):
    web = serve_at(Config(), address).web
    assert (web.enabled, web.host, web.port) == (True, host, port)


@pytest.mark.parametrize("address", ["0.0.0.0", "nowhere:80", "127.0.0.1:high", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_is_refused_with_the_option(address):
    with pytest.raises(ConfigError, match=f"--web {address}: "):
        serve_at(Config(), address)
