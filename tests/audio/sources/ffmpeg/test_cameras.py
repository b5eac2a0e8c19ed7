"""Cameras that give sound only to those who ask as they wish."""

import time

import pytest

from monitor.audio.sources.ffmpeg import network_stream
from monitor.config import Login, SourceConfig
from monitor.daemon.checks.source_checks import source
from tests.support.broker import certify, eventually
from tests.support.camera import CLOSE, IGNORE, Camera
from tests.support.network_stream import Listener, pitch, reasons
from tests.support.rtsp import Encrypted


def refuses_sound_alone(method, status):
    return lambda request: status if request.method == method and request.alone else 200


def refuses_pictures(request):
    return 453 if request.method == "SETUP" and request.track == "pictures" else 200


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("SETUP", 454), ("SETUP", 400), ("SETUP", 401), ("SETUP", 403), ("SETUP", 404), ("SETUP", 406),
        ("SETUP", 459), ("SETUP", 461), ("SETUP", 500), ("SETUP", 503), ("SETUP", 551), ("SETUP", CLOSE),
        ("PLAY", 401), ("PLAY", 404), ("PLAY", 454), ("PLAY", 455), ("PLAY", 501), ("PLAY", CLOSE),
    ],
)  # fmt: skip
def test_a_camera_that_refuses_sound_alone_is_heard_beside_its_pictures(method, status, caplog):
    with Camera(refuses_sound_alone(method, status)) as camera, Listener(camera.url) as listener:
        listener.wait_until_heard(1)
    assert pitch(listener.blocks, skip=0.2, seconds=0.5) == pytest.approx(440, abs=4)
    assert listener.status.offline_text is None
    assert "only together with video" in caplog.text


def test_a_camera_that_soon_stops_to_give_sound_alone_is_heard_beside_its_pictures(caplog):
    began = {}

    def sounds(pictures):
        return pictures or time.monotonic() < began.setdefault(camera.connections, time.monotonic()) + 0.5

    with Camera(sounds=sounds) as camera, Listener(camera.url) as listener:
        listener.wait_until_heard(5)
        assert camera.connections == 3
    assert "requesting all tracks first" in caplog.text


def test_a_network_that_fails_now_and_then_changes_nothing(monkeypatch):
    monkeypatch.setattr(network_stream, "_SOON_SECONDS", 0.0)
    with Camera() as camera, Listener(camera.url) as listener:
        for number in range(1, 4):
            listener.wait_until_heard(listener.seconds + 0.3)
            camera.hang_up()
            eventually(lambda number=number: camera.connections > number)
        listener.wait_until_heard(listener.seconds + 0.3)
    assert set(camera.asked("SETUP")) == {"sound"}


@pytest.mark.parametrize("status", [404, 454, 500, CLOSE])
def test_an_encrypted_camera_that_refuses_sound_alone_is_heard_beside_its_pictures(tmp_path, status):
    certify(tmp_path)
    with (
        Camera(refuses_sound_alone("SETUP", status)) as camera,
        Encrypted(camera, tmp_path) as encrypted,
        Listener(encrypted.url("live"), ca_file=tmp_path / "ca.pem") as listener,
    ):
        listener.wait_until_heard(0.5)


@pytest.mark.parametrize("status", [400, 500, 503, CLOSE])
def test_a_camera_that_refuses_the_first_to_come_is_heard(status):
    def behave(request):
        return status if request.method == "DESCRIBE" and request.connection == 1 else 200

    with Camera(behave) as camera, Listener(camera.url) as listener:
        listener.wait_until_heard(0.5)


def test_a_camera_that_sends_sound_alone_to_nobody_is_heard_and_remembered():
    with Camera(sounds=lambda pictures: pictures) as camera, Listener(camera.url) as listener:
        listener.wait_until_heard(0.5)
        assert camera.connections == 2
        heard = listener.seconds
        camera.hang_up()
        eventually(lambda: listener.seconds > heard + 0.5)
        assert camera.connections == 3  # sound alone was not tried again


def test_a_camera_that_answers_play_for_sound_alone_with_nothing_is_heard(monkeypatch):
    monkeypatch.setattr("monitor.audio.sources.ffmpeg.connection.OPEN_SECONDS", 2.0)
    with (
        Camera(refuses_sound_alone("PLAY", IGNORE)) as camera,
        Listener(camera.url) as listener,
    ):
        listener.wait_until_heard(0.5)


@pytest.mark.parametrize("tcp", [True, False])
def test_a_camera_that_carries_sound_by_one_transport_only_is_heard(tcp):
    def behave(request):
        return 461 if request.method == "SETUP" and request.tcp != tcp else 200

    for transport in ("tcp", "udp"):
        with Camera(behave) as camera, Listener(camera.url, transport=transport) as listener:
            listener.wait_until_heard(0.3)
            assert camera.connections == 1


def test_a_camera_that_refuses_sound_alone_over_one_transport_only_is_heard():
    def behave(request):
        return 454 if request.method == "SETUP" and request.alone and request.tcp else 200

    with Camera(behave) as camera, Listener(camera.url) as listener:
        listener.wait_until_heard(0.3)


def test_a_camera_that_changes_its_mind_is_heard_again():
    with Camera() as camera, Listener(camera.url) as listener:
        for status in (
            refuses_sound_alone("SETUP", 454),
            refuses_pictures,
            refuses_sound_alone("PLAY", 500),
        ):
            listener.wait_until_heard(listener.seconds + 0.3)
            camera.behave = status
            camera.hang_up()
            eventually(lambda: listener.status.offline)
            eventually(lambda: not listener.status.offline)


def test_a_camera_of_sound_alone_is_never_asked_for_pictures():
    with Camera() as camera, Listener(camera.url) as listener:
        listener.wait_until_heard(0.5)
        assert camera.asked("SETUP") == ["sound"]


@pytest.mark.parametrize(("pictures", "tracks"), [("always", {"pictures", "sound"}), ("never", {"sound"})])
def test_who_knows_his_camera_says_so(pictures, tracks):
    with (
        Camera(refuses_sound_alone("SETUP", 454)) as camera,
        Listener(camera.url, pictures=pictures) as listener,
    ):
        if pictures == "always":
            listener.wait_until_heard(0.3)
            assert camera.connections == 1
        else:
            listener.wait_for_trouble("nothing to play")
            eventually(lambda: camera.connections > 1)
    assert set(camera.asked("SETUP")) == tracks


def test_a_camera_without_sound_for_anybody_says_so_after_both():
    def behave(request):
        return 454 if request.method == "SETUP" else 200

    with Camera(behave) as camera:
        assert "does this stream contain audio" in reasons(camera.url)
        assert camera.connections == 2


@pytest.mark.parametrize(("status", "words"), [(401, "asks for a username"), (404, "no such stream")])
def test_what_is_there_for_nobody_says_so_after_both(status, words):
    with Camera(lambda request: status if request.method == "DESCRIBE" else 200) as camera:
        assert words in reasons(camera.url)
        assert camera.connections == 2


def test_a_wrong_password_is_not_tried_with_pictures():
    with Camera(login="me:right") as camera:
        assert "it refuses" in reasons(camera.url, login=Login("me", "wrong"))
        assert camera.connections == 1
    with Camera(login="me:right") as camera, Listener(camera.url, login=Login("me", "right")) as listener:
        listener.wait_until_heard(0.3)


def test_what_is_forbidden_to_a_user_is_not_tried_again_and_again():
    with (
        Camera(lambda request: 403 if request.method == "DESCRIBE" else 200) as camera,
        Listener(camera.url, login=Login("me", "right")) as listener,
    ):
        listener.wait_for_trouble("403")
        asked = camera.connections
        looked = listener.status.looked
        eventually(lambda: listener.status.looked >= looked + 2)
        assert camera.connections == asked == 2


def test_nobody_who_is_away_is_asked_twice(monkeypatch):
    asked = []
    original = network_stream._Connection

    def counting(*arguments, **options):
        asked.append(options["pictures"])
        return original(*arguments, **options)

    monkeypatch.setattr(network_stream, "_Connection", counting)
    with Camera() as camera:
        url = camera.url
    assert "refused" in reasons(url)
    assert "is unknown" in reasons("rtsp://camera.invalid/x")
    assert asked == [False, False]


def test_doctor_hears_what_run_hears():
    with Camera(sounds=lambda pictures: pictures) as camera:
        config = SourceConfig(name="cam", kind="stream", url=camera.url)
        found = list(source(config, seconds=0.5, silence_dbfs=-70.0))
        assert [(finding.check, finding.state) for finding in found] == [("source", "ok"), ("level", "ok")]


def test_it_may_end_while_it_tries():
    with Camera(sounds=lambda _: False) as camera:
        with Listener(camera.url) as listener:
            eventually(lambda: camera.asked("PLAY"))
            began = time.monotonic()
        assert time.monotonic() - began < 60
        assert listener.error is None
