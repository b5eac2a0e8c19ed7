from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from monitor.config import Address, Login, SourceConfig

SECRET = "hunter2"


def camera(url):
    return SourceConfig(name="cam", kind="stream", url=url)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://camera",
        "rtsp://camera:8554/stream1?channel=1&subtype=0",
        "rtsps://192.168.1.2:7441/token?enableSrtp",
        "http://[fe80::1]:8000/live.ogg",
        "https://radio.example/a@b",
        "http://camera/flv?user={username}&password={password}",
    ],
)
def test_an_address_is_taken_as_it_is(url):
    assert camera(url).url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"rtsp://me:{SECRET}@camera/1", "contains a user or a password"),
        (f"rtsp://{SECRET}@camera/1", "contains a user or a password"),
        (f"rtsp://me:{SECRET}#x@camera/1", "contains a user or a password"),
        (f"rtsp://me:a#{SECRET}@camera/1", "contains a user or a password"),
        (f"rtsp://me:a/{SECRET}@camera/1", "contains a user or a password"),
        (f"ftp://camera/{SECRET}", "does not start with one of rtsp://, rtsps://, http://, https://"),
        (f"file:///{SECRET}", "does not start with one of"),
        (f"concat:{SECRET}", "does not start with one of"),
        (f"camera/{SECRET}", "does not start with one of"),
        (f"rtsp:///{SECRET}", "has no valid host"),
        (f"rtsp://camera:99999/{SECRET}", "no valid host or port"),
        (f"rtsp://camera:0/{SECRET}", "no valid host or port"),
        (f"rtsp://camera/{SECRET}#x", "write it as %23"),
        (f"rtsp://camera/{SECRET} x", "write a space as %20"),
        (f"rtsp://camera/{SECRET}/{{token}}", "braces"),
        (f"rtsp://camera/{SECRET * 200}", "at most 1000"),
    ],
)
def test_what_is_no_address_or_holds_a_secret_is_a_fault_that_does_not_repeat_it(url, words):
    with pytest.raises(ValidationError) as caught:
        camera(url)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


@given(st.text(min_size=1, max_size=50))
def test_any_password_arrives_as_it_is(password):
    parts = urlsplit(Address("rtsp://camera:8554/1", Login("me", password)).with_login)
    assert (parts.hostname, parts.port, parts.path) == ("camera", 8554, "/1")
    assert (parts.username, unquote(parts.password)) == ("me", password)


def test_a_password_may_have_a_place_of_its_own():
    address = Address("http://camera/{password}?user={username}", Login("me", "a&b/{username}"))
    assert address.with_login == "http://camera/a%26b%2F%7Busername%7D?user=me"


def test_only_scheme_host_and_port_are_shown():
    address = Address("rtsps://camera:7441/secret-token?key=1", Login("me", SECRET))
    assert address.shown == "rtsps://camera:7441"
    for text in (repr(address), str(address), repr(camera("rtsp://camera/secret-token"))):
        assert SECRET not in text
        assert "secret-token" not in text
