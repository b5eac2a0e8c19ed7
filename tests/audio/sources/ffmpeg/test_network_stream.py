import threading
import time
import traceback

import pytest

from monitor.config import Address, Login
from tests.support.broker import certify, eventually, free_port
from tests.support.http_radio import Radio, encoded
from tests.support.network_stream import PASSWORD, PATIENCE, RATE, Listener, pitch, reasons
from tests.support.rtsp import Encrypted, RtspServer

# --- what is heard ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    with RtspServer(tmp_path_factory.mktemp("camera")) as server:
        yield server


@pytest.mark.parametrize("mount", ["aac", "opus", "pcma", "film"])
def test_the_sound_of_a_camera_is_heard_as_it_happens(camera, mount):
    with Listener(camera.url(mount)) as listener:
        listener.wait_until_heard(2)
    assert pitch(listener.blocks) == pytest.approx(440, abs=2)
    assert not any(block.gap for block in listener.blocks)
    assert listener.status.lost == 0


def test_rtsp_may_be_carried_by_udp(camera):
    with Listener(camera.url("opus"), transport="udp") as listener:
        listener.wait_until_heard(1)


@pytest.mark.parametrize("kind", ["ogg", "mp3", "wav"])
def test_a_radio_is_heard(kind):
    with Radio(kind) as radio, Listener(radio.url()) as listener:
        listener.wait_until_heard(2)
        assert pitch(listener.blocks) == pytest.approx(440, abs=2)
    assert listener.status.lost == 0


def test_blocks_follow_each_other_and_are_stamped_with_the_time():
    with Radio() as radio, Listener(radio.url()) as listener:
        listener.wait_until_heard(2)
    starts, stops = zip(*((block.start, block.stop) for block in listener.blocks), strict=True)
    assert starts == (0, *stops[:-1])
    assert 0 <= time.time() - listener.blocks[-1].ended_at < 20
    took = listener.blocks[-1].ended_at - listener.blocks[0].ended_at
    assert took == pytest.approx(listener.seconds - listener.blocks[0].stop / RATE, abs=0.5)


# --- the live edge ------------------------------------------------------------------------------


def test_what_a_radio_had_in_store_is_not_heard_late():
    with Radio(burst=10) as radio:
        began = time.monotonic()
        with Listener(radio.url()) as listener:
            listener.wait_until_heard(2)
            assert listener.seconds <= time.monotonic() - began + 1
            eventually(lambda: len(radio.requests) == 1)


def test_what_comes_faster_than_time_is_heard_at_the_pace_of_time():
    with Radio(speed=40) as radio:
        began = time.monotonic()
        with Listener(radio.url()) as listener:
            listener.wait_until_heard(2)
            assert listener.seconds <= time.monotonic() - began + 1
        assert listener.status.lost == 0


# --- when it is lost ----------------------------------------------------------------------------


def test_a_stream_that_ends_is_offline_until_it_is_back():
    with Radio() as radio, Listener(radio.url()) as listener:
        listener.wait_until_heard(0.5)
        radio.hung_up.set()
        eventually(lambda: listener.status.offline, PATIENCE)
        heard = listener.seconds
        radio.hung_up.clear()
        listener.wait_until_heard(heard + 0.5)
        assert not listener.status.offline
        assert listener.status.reopened >= 1
    assert sum(block.gap for block in listener.blocks) >= 1


def test_a_stream_that_stalls_with_its_connection_open_is_offline_until_it_is_back():
    with Radio() as radio, Listener(radio.url()) as listener:
        listener.wait_until_heard(0.5)
        radio.silent.set()
        eventually(lambda: listener.status.offline, PATIENCE)
        assert "5 s" in listener.status.offline_text
        heard = listener.seconds
        radio.silent.clear()
        listener.wait_until_heard(heard + 0.5)
        assert not listener.status.offline


def test_a_server_that_never_answers_keeps_nobody_from_ending():
    with Radio() as radio:
        radio.silent.set()
        listener = Listener(radio.url())
        with listener:
            eventually(lambda: radio.requests)
            began = time.monotonic()
        assert time.monotonic() - began < 9  # of the ten that libav may take
        assert listener.blocks == []


def test_no_thread_is_left_behind():
    with Radio() as radio:
        with Listener(radio.url()) as listener:
            listener.wait_until_heard(0.5)
        eventually(lambda: not [t for t in threading.enumerate() if t.name == "read cam"])


# --- why it cannot be had -----------------------------------------------------------------------


def test_what_is_not_there_says_so(camera):
    nobody = free_port()
    assert reasons(f"rtsp://127.0.0.1:{nobody}/x").endswith("Connection refused")
    assert reasons("rtsp://camera.invalid/x").endswith("its host name is unknown")
    assert reasons(camera.url("none")).endswith("it has no such stream (404)")
    with Radio() as radio:
        assert reasons(radio.url("/none")).endswith("it has no such stream (404)")


def test_a_stream_without_sound_says_so(camera):
    assert reasons(camera.url("mute")).endswith("it has nothing to play: does this stream contain audio?")
    with Radio(answers={"/page": (200, {}, b"<html>" * 5000)}) as radio:
        assert reasons(radio.url("/page")).endswith("it sends no usable audio")


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:///etc/passwd\n#EXTINF:2,\n{file}\n",
        b"ffconcat version 1.0\nfile {file}\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    ],
)
def test_a_playlist_leads_nowhere(tmp_path, content):
    (tmp_path / "secret.mp3").write_bytes(encoded("mp3"))
    content = content.replace(b"{file}", str(tmp_path / "secret.mp3").encode())
    with Radio(answers={"/list": (200, {}, content)}) as radio:
        assert "no usable audio" in reasons(radio.url("/list"))


def test_a_redirection_leads_to_no_file(tmp_path):
    (tmp_path / "secret.mp3").write_bytes(encoded("mp3"))
    places = [f"file://{tmp_path}/secret.mp3", f"concat:{tmp_path}/secret.mp3", f"{tmp_path}/secret.mp3"]
    answers = {f"/{i}": (302, {"Location": place}, b"") for i, place in enumerate(places)}
    with Radio(answers=answers) as radio:
        for path in answers:
            assert reasons(radio.url(path))


def test_a_redirection_to_another_path_is_followed():
    answers = {"/moved": (302, {"Location": "/live.mp3"}, b"")}
    with Radio("mp3", answers=answers) as radio, Listener(radio.url("/moved")) as listener:
        listener.wait_until_heard(0.5)


def test_a_certificate_must_be_trusted_unless_it_is_not_asked_for(tmp_path):
    certify(tmp_path)
    with Radio("mp3", tls=tmp_path) as radio:
        assert "its certificate is not trusted" in reasons(radio.url())
        for options in ({"ca_file": tmp_path / "ca.pem"}, {"tls_verify": False}):
            with Listener(radio.url(), **options) as listener:
                listener.wait_until_heard(0.5)


def test_a_camera_may_be_encrypted(camera, tmp_path):
    certify(tmp_path)
    with Encrypted(camera, tmp_path) as encrypted:
        assert "its certificate is not trusted" in reasons(encrypted.url("aac"))
        for options in ({"ca_file": tmp_path / "ca.pem"}, {"tls_verify": False}):
            with Listener(encrypted.url("aac"), **options) as listener:
                listener.wait_until_heard(0.5)


# --- logins -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["basic", "digest"])
def test_a_camera_lets_in_who_has_the_password_whatever_is_in_it(tmp_path, method):
    with RtspServer(tmp_path, login=(method, "admin", PASSWORD)) as server:
        with Listener(server.url("opus"), login=Login("admin", PASSWORD)) as listener:
            listener.wait_until_heard(0.5)
        assert reasons(server.url("opus")).endswith("it asks for a username and a password")
        refused = reasons(server.url("opus"), login=Login("admin", "other"))
        assert refused.endswith("it refuses the username or the password")


def test_a_radio_lets_in_who_has_the_password_whatever_is_in_it():
    with Radio(login=("me", PASSWORD)) as radio:
        with Listener(radio.url(), login=Login("me", PASSWORD)) as listener:
            listener.wait_until_heard(0.5)
        assert reasons(radio.url()).endswith("it asks for a username and a password")


def test_a_password_may_be_part_of_the_query():
    with Radio("mp3") as radio:
        radio.path = "/flv?user=me&password=p%23a%40s"
        with Listener(
            radio.url("/flv?user={username}&password={password}"), login=Login("me", "p#a@s")
        ) as listener:
            listener.wait_until_heard(0.5)


def test_a_wrong_password_is_not_tried_again_and_again():
    with (
        Radio(login=("me", PASSWORD)) as radio,
        Listener(radio.url(), login=Login("me", "wrong")) as listener,
    ):
        listener.wait_for_trouble("it refuses the username or the password")
        asked = len(radio.requests)
        time.sleep(4)  # in which three more attempts would be due
        assert len(radio.requests) == asked


def test_nothing_that_is_said_or_raised_holds_the_password_or_the_path(caplog):
    secrets = ("wrong", "hunter2", "token123", "%23")
    with Radio(login=("me", "right")) as radio:
        url = radio.url("/live.ogg?token=token123")
        with Listener(url, login=Login("me", "wrong#hunter2"), required=True) as listener:
            eventually(lambda: listener.error, PATIENCE)
        with Listener(url, login=Login("me", "wrong#hunter2")) as second:
            second.wait_for_trouble("it refuses")
    said = [
        "".join(traceback.format_exception(listener.error)),
        repr(Address(url, Login("me", "wrong#hunter2"))),
        str(second.status),
        caplog.text,
    ]
    assert "is offline" in caplog.text
    assert not [secret for secret in secrets for text in said if secret in text]
