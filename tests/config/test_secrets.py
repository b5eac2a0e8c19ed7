import os
from pathlib import Path

import pytest

from monitor.config import (
    Login,
    MqttConfig,
    NotifyConfig,
    SourceConfig,
    WebConfig,
    read_address,
    read_password,
    read_token,
)
from monitor.outputs.notify.targets import read_url
from monitor.types import ConfigError


def in_file(path):
    return MqttConfig(username="me", password_file=Path(path))


def test_no_password_is_none():
    assert read_password(MqttConfig(), {}) is None


@pytest.mark.parametrize("content", ["hunter2", "hunter2\n", "hunter2\r\n"])
def test_a_password_is_the_line_in_the_file(tmp_path, content):
    (tmp_path / "password").write_text(content)
    assert read_password(in_file(tmp_path / "password"), {}) == "hunter2"


def test_spaces_are_part_of_a_password(tmp_path):
    (tmp_path / "password").write_text(" hunter 2 \n")
    assert read_password(in_file(tmp_path / "password"), {}) == " hunter 2 "


def test_a_relative_name_is_looked_for_among_the_credentials_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "password").write_text("here")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert read_password(in_file("password"), environment) == "here"
    (credentials / "password").write_text("credential")
    assert read_password(in_file("password"), environment) == "credential"
    assert read_password(in_file(tmp_path / "password"), environment) == "here"


def test_a_password_is_the_environment_variable():
    mqtt = MqttConfig.model_validate({"username": "me", "password_env": "BROKER"})
    assert read_password(mqtt, {"BROKER": "hunter2"}) == "hunter2"
    with pytest.raises(ConfigError, match=r"mqtt\.password_env: the environment variable BROKER is not set"):
        read_password(mqtt, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\nother\n", "holds more than one line"),
        (b"hunter2\xff", "is not UTF-8"),
        (b"x" * 70_000, "is larger than 65,536 bytes"),
    ],
)
def test_a_password_that_is_not_there_is_one_line_without_it(tmp_path, content, words):
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        read_password(in_file(tmp_path / "password"), {})
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_directory_is_no_password(tmp_path):
    with pytest.raises(ConfigError, match="is a directory; write nothing but the password into it"):
        read_password(in_file(tmp_path), {})


FROM_ENVIRONMENT = {"username": "me", "password_env": "CAMERA"}


def camera(**keys):
    return SourceConfig(name="cam", kind="stream", **{"url": "rtsp://camera/1", **keys})


def test_the_login_of_a_stream_is_read_like_the_password_of_the_broker(tmp_path):
    (tmp_path / "password").write_text("p#a@s\n")
    source = camera(username="me", password_file=tmp_path / "password")
    assert read_address(source, {}).login == Login("me", "p#a@s")
    source = camera(**FROM_ENVIRONMENT)
    assert read_address(source, {"CAMERA": "hunter2"}).login == Login("me", "hunter2")
    with pytest.raises(
        ConfigError, match=r"source cam: password_env: the environment variable CAMERA is not"
    ):
        read_address(source, {})
    assert read_address(camera(), {}).login is None
    assert read_address(camera(username="me"), {}).login == Login("me", "")


def test_a_login_that_rtsp_would_cut_off_is_refused():
    source = camera(**FROM_ENVIRONMENT)
    assert read_address(source, {"CAMERA": "x" * 124}).login == Login("me", "x" * 124)
    for password in ("x" * 125, "#" * 42):
        with pytest.raises(ConfigError, match="source cam: username and password are too long") as caught:
            read_address(source, {"CAMERA": password})
        assert password not in str(caught.value)
    by_http = camera(**FROM_ENVIRONMENT, url="http://camera/1")
    assert read_address(by_http, {"CAMERA": "x" * 125}).login is not None


def secrets_in(path):
    """Read every kind of secret from one file: what reads it, by the key that names it."""
    stream = {"name": "cam", "kind": "stream", "url": "rtsp://cam/1", "username": "me", "password_file": path}
    return {
        "mqtt.password_file": lambda: read_password(in_file(path), {}),
        "source cam: password_file": lambda: (
            read_address(SourceConfig.model_validate(stream), {}).login.password
        ),
        "web.token_file": lambda: read_token(WebConfig(token_file=path), {}),
        "notify: phone: url_file": lambda: read_url(NotifyConfig(name="phone", url_file=path), {}),
    }


KEYS = list(secrets_in(Path("any")))


@pytest.mark.parametrize("key", KEYS)
def test_a_secret_that_is_no_regular_file_is_refused_and_never_waited_for(tmp_path, key):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    for name in ("fifo", "folder", "link", "/dev/zero", "/dev/null"):
        with pytest.raises(ConfigError) as caught:
            secrets_in(tmp_path / name)[key]()
        assert str(caught.value).startswith(f"{key}: {tmp_path / name}: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
def test_a_secret_that_everybody_may_write_is_used_and_warned_of_once(tmp_path, key, caplog):
    path = tmp_path / "secret"
    path.write_text("0123456789abcdef")
    for mode, lines in ((0o600, 0), (0o644, 0), (0o646, 1), (0o666, 1)):
        path.chmod(mode)
        assert secrets_in(path)[key]() == "0123456789abcdef"
        assert len(caplog.records) == lines
    assert f"{key}: {path}: every user of this machine can write to it" in caplog.text
    assert "0123456789abcdef" not in caplog.text


def test_a_byte_order_mark_is_no_part_of_the_password(tmp_path):
    (tmp_path / "password").write_bytes(b"\xef\xbb\xbfhunter2\r\n")
    assert read_password(MqttConfig(host="h", username="u", password_file=tmp_path / "password")) == "hunter2"
