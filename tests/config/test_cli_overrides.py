import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Config, SourceConfig, replace_labels, replace_sources, source_from_argument
from monitor.types import ConfigError


def test_a_sentence_is_the_name_and_the_only_prompt_of_its_label():
    (label,) = replace_labels(Config(node="attic"), ["A kettle, whistling!"]).labels
    assert (label.id, label.title, label.prompts) == (
        "a_kettle_whistling", "A kettle, whistling!", ("A kettle, whistling!",)
    )  # fmt: skip
    assert (label.against, label.threshold) == ((), 0.5)


def test_only_the_labels_are_replaced():
    config = Config(node="attic", silence_dbfs=-50.0)
    assert replace_labels(config, ["x"]).model_copy(update={"labels": config.labels}) == config


def test_labels_of_different_sentences_have_different_identifiers():
    sentences = ["a dog", "A dog!", "a dog", "собака", "кошка", "x" * 40, "x" * 41]
    ids = [label.id for label in replace_labels(Config(), sentences).labels]
    assert ids == ["a_dog", "a_dog_2", "label", "label_2", "x" * 32, "x" * 30 + "_2"]


@pytest.mark.parametrize("sentences", [[], [""], [" \n"], ["x" * 301]])
def test_a_sentence_that_cannot_be_used_is_refused(sentences):
    with pytest.raises(ConfigError, match="--label"):
        replace_labels(Config(), sentences)


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=60).filter(str.strip)


@given(st.lists(WORDS, min_size=1, max_size=6))
def test_any_sentences_make_a_valid_configuration(sentences):
    config = replace_labels(Config(), sentences)
    assert Config.model_validate(config.model_dump(exclude_unset=True)) == config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b", {"name": "b", "kind": "file", "path": "a/b"}),
        ("Kitchen 1.WAV", {"name": "kitchen_1", "kind": "file", "path": "Kitchen 1.WAV"}),
        ("x.flac", {"name": "x", "kind": "file", "path": "x.flac"}),
        ("3", {"name": "device_3", "kind": "microphone", "device": 3}),
        ("USB Audio", {"name": "usb_audio", "kind": "microphone", "device": "USB Audio"}),
        ("Webcam v2.0", {"name": "webcam_v2_0", "kind": "microphone", "device": "Webcam v2.0"}),
        ("null.monitor", {"name": "null_monitor", "kind": "microphone", "device": "null.monitor"}),
        ("микрофон", {"name": "microphone", "kind": "microphone", "device": "микрофон"}),
    ],
)
def test_a_word_is_a_file_an_index_or_a_part_of_a_name(text, expected):
    assert source_from_argument(text) == SourceConfig.model_validate(expected)


def test_a_file_that_exists_is_a_file_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert source_from_argument("recording").kind == "microphone"
    (tmp_path / "recording").touch()
    assert source_from_argument("recording").kind == "file"


def test_a_directory_does_not_hide_a_device_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    assert source_from_argument("default").device == "default"


def test_a_dash_is_raw_samples_on_standard_input():
    source = source_from_argument("-", rate=16000, format="f32le", channels=2)
    expected = {"name": "stdin", "kind": "pcm", "rate": 16000, "format": "f32le", "channels": 2}
    assert source == SourceConfig.model_validate(expected)


def test_the_format_of_raw_samples_is_nothing_to_a_file():
    assert source_from_argument("a.wav", rate=16000, format="u8", channels=2) == source_from_argument("a.wav")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("-", {}, "--source -: rate: is missing; a source of kind pcm needs it"),
        ("-", {"rate": 10}, "--source -: rate: 10 is not in [1000, 768000]"),
        (
            "-",
            {"rate": 8000, "format": "s16be"},
            '--source -: format: "s16be" is not one of s16le, s24le, s32le, f32le, u8; did you mean s16le?',
        ),
        (
            "rtsp://me:hunter2@camera/1",
            {},
            (
                "--source: url: contains a user or a password; write the user as username, and the password "
                "into the file named by password_file"
            ),
        ),
        ("", {}, "--source : device: is empty; remove the key to use the system's default device"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_line(text, options, message):
    with pytest.raises(ConfigError) as caught:
        source_from_argument(text, **options)
    assert str(caught.value) == message


@given(st.text(max_size=300))
def test_any_word_is_a_source_or_a_plain_fault(text):
    try:
        source = source_from_argument(text, rate=8000)
    except ConfigError:
        return
    assert replace_sources(Config(), [source]).sources == (source,)


def test_sources_of_the_same_name_get_numbers():
    words = ["a/x.wav", "b/x.wav", "-"]
    sources = [source_from_argument(word, rate=8000) for word in words]
    assert [source.name for source in replace_sources(Config(), sources).sources] == ["x", "x_2", "stdin"]


@pytest.mark.parametrize("words", [[], ["-", "-"]])
def test_sources_that_cannot_be_heard_are_refused(words):
    with pytest.raises(ConfigError, match="--source"):
        replace_sources(Config(), [source_from_argument(word, rate=8000) for word in words])


def test_a_file_whose_name_is_not_utf_8_is_a_source():
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    assert str(source_from_argument(name).path) == name


def test_a_sentence_that_is_not_utf_8_is_one_clear_line():
    with pytest.raises(ConfigError, match=r"^--label ca\?: ") as caught:
        replace_labels(Config(), [b"ca\xe9".decode("utf-8", "surrogateescape")])
    assert "\n" not in str(caught.value)
