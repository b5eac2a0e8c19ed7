from pathlib import Path

import pytest

from monitor.config import Login, MqttConfig, SourceConfig, read_address, read_password
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
        (b"x" * 70_000, "holds more than one line"),
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
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
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
