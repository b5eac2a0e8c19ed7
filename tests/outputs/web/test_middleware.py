"""Middleware refuses foreign names, other pages, wrong tokens, too much, too often."""

import socket

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from monitor.outputs.web.middleware import MAX_BODY
from tests.support.web_server import TOKEN, serving


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8095", "[::1]:8095", "192.168.1.7", "LOCALHOST"])
def test_our_names_and_addresses_are_answered(served, host):
    assert served.ask("GET", "/", host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8095", "127.0.0.1.evil.example", "", "localhost.evil"]
)
@pytest.mark.parametrize("path", ["/", "/api/status", "/static/app.js", "/api/health", "/docs"])
def test_a_foreign_name_for_this_machine_is_not_answered(served, host, path):
    assert served.ask("GET", path, host=host).status in {400, 421}


@pytest.mark.parametrize(
    "host",
    [
        "a@localhost", "localhost:", "localhost:x", "localhost:99999", "localhost..", ".localhost", "::1",
        "[::1",
        "[::1%25lo]", "[127.0.0.1]", "127.0.0.1:80:80", "localhost/", "localhost, evil.example",
        "localhost;x",
    ],
)  # fmt: skip
def test_a_host_that_is_none_is_not_guessed_at(served, host):
    assert served.ask("GET", "/", host=host).status == 400


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost.evil"])
def test_what_only_looks_like_this_machine_is_not_answered(served, host):
    assert served.ask("GET", "/", host=host).status in {400, 421}


@pytest.mark.parametrize("host", ["[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "10.0.0.1"])
def test_an_address_that_is_not_the_loopback_is_somebody_else(served, host):
    assert served.ask("GET", "/api/status", host=host).status == 401


@pytest.mark.parametrize(
    "target", ["http://evil.example/api/status", "http://localhost/api/status", "*", "x"]
)
def test_only_paths_are_asked_for(served, target):
    assert served.ask("GET", target).status == 400
    assert served.ask("OPTIONS", target).status == 400


def test_what_is_not_known_to_be_open_is_closed(served):
    for path in (
        "/api/status",
        "/metrics",
        "/nothing",
        "/api",
        "//api/status",
        "/%61pi/status",
        "/api/status/",
    ):
        assert served.ask("GET", path, host="192.168.1.7").status == 401


def test_a_name_may_be_added():
    with serving(allowed_hosts=["Sounds.Home"], public_url="https://home.example/x") as served:
        assert served.ask("GET", "/", host="sounds.home:81").status == 200
        assert served.ask("GET", "/", host="home.example").status == 200


def test_this_machine_reads_without_a_token(served):
    assert served.ask("GET", "/api/status").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "192.168.1.7:8095"},
        {"x_forwarded_for": "10.0.0.9"},
        {"forwarded": "for=10.0.0.9"},
        {"via": "1.1 proxy"},
    ],
)
def test_others_read_only_with_the_token(served, headers):
    refused = served.ask("GET", "/api/status", **headers)
    assert refused.status == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert served.ask("GET", "/api/health", **headers).json == {"healthy": True}
    assert served.write("GET", "/api/status", **headers).status == 200


PROXIED = [
    {"public_url": "https://home.example/sounds"},
    {"prefix": "/sounds"},
    {"trusted_proxies": ["127.0.0.1"]},
]
PRIVATE = [
    "/api/status",
    "/api/labels",
    "/api/events",
    "/api/live",
    "/metrics",
    "/api/spectrogram?source=crib",
]


@pytest.mark.parametrize("keys", PROXIED)
def test_where_a_reverse_proxy_is_spoken_of_nobody_is_this_machine(keys):
    with serving(**keys) as served:
        for path in PRIVATE:  # just as a bare proxy_pass asks for it
            assert served.ask("GET", path).status == 401, path
        assert served.ask("GET", "/api/health").json == {"healthy": True}
        assert served.ask("GET", "/api/session").json == {
            "read": False, "write": False, "reason": "The token is required", "listen": False,
        }  # fmt: skip
        assert served.write("GET", "/api/status").status == 200
        assert served.ask("GET", "/").status == 200
        with pytest.raises(InvalidStatus):
            connect(f"ws://localhost:{served.port}/api/live/ws")


@pytest.mark.parametrize("keys", PROXIED)
def test_behind_a_proxy_and_without_a_token_it_is_said_how_one_is_set(keys, caplog):
    with serving(token=None, **keys) as served:
        refused = served.ask("GET", "/api/status")
        assert refused.status == 403
        assert "web.token_file" in refused.json["detail"]
    assert "web: the page cannot be read" in caplog.text


def test_what_is_public_behind_a_proxy_is_read_without_a_token():
    with serving(public_read=True, prefix="/sounds", token=None) as served:
        assert served.ask("GET", "/sounds/api/status").status == 200


def test_what_is_public_is_read_without_a_token():
    with serving(public_read=True) as served:
        assert served.ask("GET", "/api/status", host="192.168.1.7").status == 200


def test_nothing_is_changed_without_the_token(served):
    assert served.ask("DELETE", "/api/nothing").status == 401
    assert served.ask("DELETE", "/api/nothing", authorization=f"Basic {TOKEN}").status == 401
    assert served.write("DELETE", "/api/nothing").status == 404


def test_without_a_configured_token_nothing_is_changed_and_it_is_said_how_one_is_set():
    with serving(token=None) as served:
        refused = served.ask("POST", "/api/nothing", {}, authorization="Bearer anything-at-all-really")
        assert refused.status == 403
        assert "web.token_file" in refused.json["detail"]
        assert served.ask("GET", "/api/status", host="192.168.1.7").status == 403
        assert served.ask("GET", "/api/session").json["write"] is False


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_another_page_changes_nothing_even_with_the_token(served, headers):
    assert served.write("DELETE", "/api/nothing", **headers).status == 403
    assert served.ask("POST", "/api/session", {"token": TOKEN}, **headers).status == 403


@pytest.mark.parametrize(
    "origin",
    ["http://u@127.0.0.1:{}", "http://127.0.0.1:{}/", "http://127.0.0.1:{}.evil.example",
    "http://127.0.0.1", "//127.0.0.1:{}",
     "https://127.0.0.1:{};x", "ftp://127.0.0.1:{}", "\xff"],
)  # fmt: skip
def test_an_origin_that_only_looks_like_ours_changes_nothing(served, origin):
    assert served.write("DELETE", "/api/nothing", origin=origin.format(served.port)).status == 403


def test_a_usual_port_may_be_left_out():
    with serving(public_url="https://home.example:443/x") as served:
        for origin in ("https://home.example", "https://home.example:443", "HTTPS://HOME.EXAMPLE"):
            assert served.write("DELETE", "/api/nothing", origin=origin).status == 404
        assert (
            served.write("DELETE", "/api/nothing", origin="http://a.example:80", host="home.example").status
            == 403
        )
        assert (
            served.write(
                "DELETE", "/api/nothing", origin="https://home.example", host="home.example:443"
            ).status
            == 404
        )


def test_another_page_reads_nothing(served):
    assert served.ask("GET", "/api/status", sec_fetch_site="cross-site", sec_fetch_dest="empty").status == 403
    assert (
        served.ask("GET", "/api/status", sec_fetch_site="cross-site", sec_fetch_dest="document").status == 200
    )


def test_our_own_page_and_those_that_are_named_may_change_things():
    with serving(allowed_origins=["http://hass.local:8123"]) as served:
        own = f"http://127.0.0.1:{served.port}"
        assert served.write("DELETE", "/api/nothing", origin=own).status == 404
        assert served.write("DELETE", "/api/nothing", origin="http://hass.local:8123").status == 404
        policy = served.ask("GET", "/").headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self' http://hass.local:8123")


def test_a_cookie_stands_for_the_token_until_it_is_taken_back(served):
    entered = served.ask("POST", "/api/session", {"token": TOKEN})
    assert entered.json == {"read": True, "write": True, "reason": None, "listen": False}
    cookie, *flags = entered.headers["set-cookie"].split("; ")
    assert TOKEN not in cookie
    assert {flag.lower() for flag in flags} >= {"httponly", "samesite=strict", "path=/"}
    assert served.ask("DELETE", "/api/nothing", cookie=f"a=b; {cookie}").status == 404
    assert served.ask("GET", "/api/session", cookie=cookie).json["write"] is True
    assert served.ask("DELETE", "/api/session", cookie=cookie).headers["set-cookie"].startswith(cookie[:20])


@pytest.mark.parametrize(
    "forged", ["", "x", "9999999999.", "9999999999.00", "1.{}", "{}0", "9{}", "²²²²²²²²²².ab"]
)
def test_a_forged_cookie_stands_for_nothing(served, forged):
    cookie = served.ask("POST", "/api/session", {"token": TOKEN}).headers["set-cookie"].split(";")[0]
    name, _, value = cookie.partition("=")
    changed = forged.format(value).encode().decode("latin-1")
    assert served.ask("DELETE", "/api/nothing", cookie=f"{name}={changed}").status == 401


def test_tokens_cannot_be_guessed_at_leisure():
    with serving() as served:
        wrong = [served.ask("POST", "/api/session", {"token": f"wrong {i}"}) for i in range(15)]
        assert [answer.status for answer in wrong] == [401] * 10 + [429] * 5
        assert int(wrong[-1].headers["retry-after"]) > 0
        again = served.write("DELETE", "/api/nothing", authorization="Bearer wrong")
        assert again.status == 429
        assert int(again.headers["retry-after"]) > 0


def test_the_wrong_tokens_of_others_never_shut_out_the_right_one():
    with serving() as served:
        for number in range(30):
            served.ask("GET", "/api/status", host="192.168.1.7", authorization=f"Bearer wrong{number}")
        assert served.write("DELETE", "/api/nothing").status == 404
        entered = served.ask("POST", "/api/session", {"token": TOKEN})
        assert entered.json["write"] is True
        cookie = entered.headers["set-cookie"].split(";")[0]
        assert served.ask("DELETE", "/api/nothing", cookie=cookie).status == 404
        assert served.ask("POST", "/api/session", {"token": "wrong"}).status == 429


def test_behind_a_trusted_proxy_each_visitor_has_tries_of_their_own():
    with serving(trusted_proxies=["127.0.0.0/8"]) as served:

        def guess(visitor):
            return served.ask("POST", "/api/session", {"token": "wrong"}, x_forwarded_for=visitor).status

        assert [guess("198.51.100.7") for _ in range(11)] == [401] * 10 + [429]
        assert guess("1.1.1.1, 198.51.100.7") == 429
        assert guess("198.51.100.8") == 401


def test_a_forwarded_address_is_not_believed_of_anybody():
    with serving() as served:
        found = [
            served.ask("POST", "/api/session", {"token": "wrong"}, x_forwarded_for=f"198.51.100.{i}").status
            for i in range(11)
        ]
        assert found == [401] * 10 + [429]


def test_changes_come_at_a_bounded_rate():
    with serving() as served:
        found = [served.write("DELETE", "/api/nothing").status for _ in range(50)]
        assert found[:40] == [404] * 40
        assert 429 in found[40:]


def test_a_body_that_says_it_is_too_large_is_not_read(served):
    refused = served.write("POST", "/api/session", b"x", content_length=str(MAX_BODY + 1))
    assert refused.status == 413


def test_a_body_that_does_not_say_how_large_it_is_is_cut_off(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=120) as connection:
        head = f"POST /api/session HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(
            f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        connection.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        for _ in range(4):
            connection.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_every_answer_forbids_scripts_of_others_sniffing_and_referrers(served):
    for path in ("/", "/api/status", "/static/app.js", "/nothing", "/docs", "/openapi.json"):
        headers = served.ask("GET", path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    assert served.ask("GET", "/api/status").headers["cache-control"] == "no-store"
    assert served.ask("GET", "/api/status", host="evil").headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/static/%00",
        "/../../etc/passwd",
    ],
)
def test_files_elsewhere_are_not_to_be_had(served, path):
    answer = served.ask("GET", path)
    assert answer.status in {400, 404}
    assert b"root:" not in answer.body
    assert b"import" not in answer.body


def test_below_a_prefix_the_page_is_the_same_with_or_without_it():
    with serving(prefix="/sounds") as served:
        assert served.ask("GET", "/sounds/").body == served.ask("GET", "/").body
        assert served.write("GET", "/sounds/api/status").json["armed"] is True
        moved = served.ask("GET", "/sounds")
        assert (moved.status, moved.headers["location"]) == (308, "/sounds/")
        assert served.write("GET", "/soundsapi/status").status == 404
        assert served.ask("DELETE", "/sounds/api/nothing").status == 401
        cookie = served.ask("POST", "/sounds/api/session", {"token": TOKEN}).headers["set-cookie"]
        assert "Path=/sounds" in cookie
        assert served.ask("GET", "/openapi.json").json["servers"] == [{"url": "/sounds"}]
