"""Set-up: what is written, what is refused, and that nothing is ever half written."""

import stat

import pytest

from monitor.cli.first_start import write_first
from monitor.config import BrokerChoice, CameraChoice, Choices, MicrophoneChoice, WebConfig, load
from monitor.daemon.first_run.meters import Meters
from monitor.daemon.first_run.set_up_service import SetUp
from monitor.types import ConfigError, MonitorError, OutputError, SourceError
from tests.support.small_disk import remount

PASSWORDS = ("of the camera", "of the broker")
CHOICES = Choices(
    node="attic",
    microphones=(MicrophoneChoice(name="crib", device="USB"),),
    cameras=(CameraChoice(name="door", url="rtsp://user:of%20the%20camera@10.0.0.9/live?key=1"),),
    packs=("pets",),
    prompt="hands clapping",
    broker=BrokerChoice(host="10.0.0.2", username="home", password=PASSWORDS[1]),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "config" / "monitor.yaml"


@pytest.fixture
def done():
    return []


@pytest.fixture
def set_up(path, done):
    return SetUp(path, WebConfig(enabled=True, port=8111), on_written=lambda: done.append(True))


def apply(set_up, choices=CHOICES):
    return set_up.apply(choices, set_up.overview()["revision"])


def test_the_choices_become_a_configuration_that_loads(set_up, path, done):
    token = apply(set_up)
    config = load(path)
    assert done == [True]
    assert (config.node, config.include, config.web.port) == ("attic", ("pets",), 8111)
    assert [source.name for source in config.sources] == ["crib", "door"]
    assert {"dog_bark", "hands_clapping"} <= {label.id for label in config.labels}
    assert config.sources[1].url == "rtsp://10.0.0.9/live?key=1"
    assert config.sources[1].username == "user"
    assert config.sources[1].password_file.read_text() == "of the camera\n"
    assert config.mqtt.password_file.read_text() == "of the broker\n"
    assert config.web.token_file.read_text() == f"{token}\n"
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file == path or file.read_text().strip() not in path.read_text()


def test_a_second_set_up_keeps_what_it_does_not_ask_for_and_copies_the_file(set_up, path):
    apply(set_up)
    before = path.read_text()
    again = SetUp(path, load(path).web, on_written=lambda: None)
    kept = CHOICES.model_copy(
        update={"cameras": (), "broker": BrokerChoice(host="10.0.0.2", username="home"), "node": "cellar"}
    )
    assert apply(again, kept) is None
    config = load(path)
    assert (config.node, len(config.sources)) == ("cellar", 1)
    assert config.mqtt.password_file.read_text() == "of the broker\n"
    assert path.with_name("monitor.yaml.backup").read_text() == before


def test_the_example_of_a_first_start_is_rewritten_until_somebody_edits_it(path):
    write_first(path)
    page = SetUp(path, load(path).web, on_written=lambda: None)
    assert not page.overview()["hand_written"]
    assert apply(page) is None
    config = load(path)
    assert (config.web.host, config.web.token_file.name) == ("0.0.0.0", "web_token")
    assert "baby_cry" not in {label.id for label in config.labels}
    assert len(path.read_text().splitlines()) < 50
    path.write_text(path.read_text() + "log_level: debug\n")
    assert SetUp(path, config.web, on_written=lambda: None).overview()["hand_written"]


def test_a_prompt_without_packs_is_added_to_the_usual_labels(set_up, path):
    apply(set_up, CHOICES.model_copy(update={"packs": ()}))
    assert {"baby_cry", "hands_clapping"} <= {label.id for label in load(path).labels}


def test_a_hand_written_file_is_never_rewritten(set_up, path, done):
    path.parent.mkdir()
    path.write_text("node: mine # by hand\nsources: []\n")
    shown = set_up.preview(CHOICES)
    assert shown["hand_written"]
    assert shown["text"].startswith("# Keys that are left out")
    assert "token_file" not in shown["text"]  # nobody could read it
    with pytest.raises(MonitorError, match="was written by hand, and is not rewritten"):
        apply(set_up)
    assert path.read_text() == "node: mine # by hand\nsources: []\n"
    assert [*path.parent.iterdir()] == [path]
    assert done == []


def test_of_two_tabs_the_second_is_told(set_up, done):
    revision = set_up.overview()["revision"]
    set_up.apply(CHOICES, revision)
    with pytest.raises(MonitorError, match="was set up in another tab"):
        set_up.apply(CHOICES, revision)
    assert done == [True]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"microphones": (), "cameras": ()}, "none is chosen"),
        ({"cameras": (CameraChoice(name="crib", url="rtsp://10.0.0.9/a"),)}, "crib"),
        (
            {"cameras": (CameraChoice(name="door", url="file:///etc/passwd"),)},
            "does not start with",
        ),
        ({"broker": BrokerChoice(host="no such host!")}, "mqtt.host"),
    ],
)
def test_a_choice_that_cannot_be_used_is_named_and_nothing_is_written(set_up, path, changes, words):
    for act in (set_up.preview, lambda choices: apply(set_up, choices)):
        with pytest.raises(ConfigError) as error:
            act(CHOICES.model_copy(update=changes))
        assert words in str(error.value)
        assert not any(password in str(error.value) for password in PASSWORDS)
    assert not path.parent.exists()


def test_a_machine_without_a_microphone_says_so_in_page_and_log(path, caplog):
    set_up = SetUp(path, WebConfig(), on_written=lambda: None, meters=Meters(list))
    with pytest.raises(SourceError, match="there is no microphone: is one connected"):
        set_up.levels()
    assert "set-up: microphones: there is no microphone" in caplog.text


@pytest.mark.parametrize(
    ("option", "why"), [("size=16k", "No space left on device"), ("ro", "Read-only file system")]
)
def test_a_directory_that_cannot_be_written_is_one_line_and_nothing_is_left(
    full_disk, done, caplog, option, why
):
    remount(full_disk, option)
    before = sorted(full_disk.iterdir())
    page = WebConfig(enabled=True)
    set_up = SetUp(full_disk / "monitor.yaml", page, on_written=lambda: done.append(True))
    with pytest.raises(OutputError, match=f"monitor.yaml: cannot be written: {why}"):
        apply(set_up)
    assert sorted(full_disk.iterdir()) == before
    assert f"cannot be written: {why}" in caplog.text
    assert done == []
