import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import (
    Config,
    LabelConfig,
    MqttConfig,
    SourceConfig,
    WebConfig,
    WindowConfig,
    confirmations,
    warnings,
)


def label(id_, *prompts, **keys):
    return LabelConfig(id=id_, prompts=prompts, **keys)


def advice(*labels, background=(), seconds=5.0, **keys):
    config = Config(labels=labels or (label("dog", "a dog barking"),), background=background, **keys)
    return warnings(config, window_seconds=seconds)


def test_a_secret_in_an_address_is_warned_about_and_not_repeated():
    camera = SourceConfig(name="a", kind="stream", url="http://camera/flv?password=hunter2", username="me")
    assert advice(sources=(camera,)) == [
        "sources[0].username: has no password; name one with password_file or password_env",
        "sources[0].url: seems to contain a secret; replace it by {password} and name a password_file",
    ]
    camera = camera.model_copy(update={"url": "http://camera/flv?password={password}", "username": None})
    assert advice(sources=(camera,)) == []


@pytest.mark.parametrize(
    "keys", [{"public_url": "https://a.example"}, {"prefix": "/a"}, {"trusted_proxies": ["127.0.0.1"]}]
)
def test_a_page_behind_a_proxy_that_nobody_can_read_is_mentioned(keys):
    (said,) = advice(web=WebConfig(enabled=True, **keys))
    assert said.startswith("web: public_url, prefix or trusted_proxies is set, so everyone needs the token")
    for more in ({"token_env": "T"}, {"token_file": "t"}, {"public_read": True}):
        assert advice(web=WebConfig(enabled=True, **keys, **more)) == []
    assert advice(web=WebConfig(enabled=False, **keys)) == []


def test_a_source_for_whose_labels_nobody_listens_is_mentioned():
    labels = (label("dog", "a dog barking"), label("cat", "a cat", enabled=False))
    source = SourceConfig(name="a", kind="microphone", labels=("cat",))
    assert advice(*labels, sources=(source,)) == [
        "sources[0].labels: none of them is enabled; nothing will be detected at this source"
    ]


def test_a_hop_of_a_source_that_is_longer_than_the_window_is_mentioned():
    source = SourceConfig(name="a", kind="microphone", hop_seconds=6)
    assert advice(sources=(source,)) == [
        "sources[0].hop_seconds: 6 is more than the window of 5 s; the monitor will not start"
    ]


def test_the_defaults_need_no_advice():
    assert warnings(Config(), window_seconds=5.0) == []


@pytest.mark.parametrize(
    ("confirm", "hop", "expected"),
    [
        (0, 1, (1, 1)),
        (1, 1, (1, 1)),
        (2, 1, (2, 3)),
        (2.1, 1, (3, 4)),
        (4, 1, (4, 6)),
        (2, 0.5, (4, 6)),
        (1.1, 0.1, (11, 16)),
        (0.6, 0.2, (3, 4)),
        (2, 60, (1, 1)),
        (None, 0.01, (2, 3)),
        (None, 5, (2, 3)),
    ],
)
def test_confirmation_needs_so_many_of_so_many_windows(confirm, hop, expected):
    assert confirmations(confirm, hop) == expected


@given(st.integers(1, 60), st.integers(1, 100))
def test_confirmation_is_not_changed_by_the_rounding_of_a_quotient(hits, hundredths):
    hop = hundredths / 100
    assert confirmations(hits * hop, hop) == (hits, hits + hits // 2)


def test_a_confirmation_that_no_short_sound_can_meet_is_named():
    assert advice(label("dog", "a dog barking", confirm_seconds=6)) == [
        (
            "labels[0].confirm_seconds: 6 needs 6 of 9 windows to agree, but a short sound is inside only 5 "
            "(windows of 5 s every 1 s); use at most 5"
        )
    ]
    assert advice(label("dog", "a dog barking", confirm_seconds=5)) == []


def test_the_same_confirmation_is_met_by_shorter_hops_only_inside_a_window():
    hop = WindowConfig(hop_seconds=0.25)
    assert advice(label("dog", "a dog barking", confirm_seconds=5), window=hop) == []
    assert len(advice(label("dog", "a dog barking", confirm_seconds=5.1), window=hop)) == 1


def test_a_hop_longer_than_the_window_of_the_checkpoint_is_named():
    assert advice(seconds=1.0, window=WindowConfig(hop_seconds=1.5)) == [
        (
            "window.hop_seconds: 1.5 is more than the window of 1 s; 0.5 s of audio in every 1.5 s "
            "will be skipped"
        ),
        (
            "labels[0].confirm_seconds: unset, it needs 2 of 3 windows to agree, but a short sound is inside "
            "only 1 (windows of 1 s every 1.5 s); use at most 1.5"
        ),
    ]


@pytest.mark.parametrize(
    ("keys", "start"),
    [
        ({"threshold": 0.0}, "labels[0].threshold: 0 is reached by every window"),
        ({"threshold": 1.0}, "labels[0].threshold: 1 is never reached"),
        ({"threshold": 0.1, "release_threshold": 0.0}, "labels[0].release_threshold: 0 is below every score"),
    ],
)
def test_a_threshold_that_decides_nothing_is_named(keys, start):
    (found,) = advice(label("dog", "a dog barking", **keys))
    assert found.startswith(start)


def test_a_watch_without_labels_is_named_and_its_labels_are_not_judged():
    (found,) = advice(label("dog", "no dog", threshold=0.0, enabled=False))
    assert found.startswith("labels: none is enabled")


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("no dog", '"no" is ignored'),
        ("a room without people talking", '"without" is ignored'),
        ("a dog that isn't barking", '"isn\'t" is ignored'),
        ("ein Hund bellt", "does not look like English"),
        ("un chien aboie", None),
        ("un chien qui est fâché", "does not look like English"),
        ("собака лает", "does not look like English"),
        ("the sound of noise", "does not describe a sound"),
        ("dog " * 61, "61 words are too long"),
        ("crying " * 42, "42 words are too long"),
        ("a dog barking", None),
        ("a note played on a nothing-like piano", '"nothing" is ignored'),
        ("a person talking on the telephone in the next room", None),
        ("the ding-dong of a doorbell in the hall", None),
    ],
)
def test_a_prompt_the_model_cannot_understand_is_named(prompt, words):
    found = advice(label("x", prompt))
    assert [words in line and line.startswith("labels[0].prompts[0]: ") for line in found] == [True] * bool(
        words
    )


def test_every_kind_of_prompt_is_judged():
    found = advice(label("dog", "a dog barking", against=("no cat",)), background=("kein und",))
    assert [line.partition(":")[0] for line in found] == ["labels[0].against[0]", "background[0]"]


def test_two_labels_that_say_the_same_are_named():
    found = advice(label("dog", "a dog barking"), label("hound", "a cat", "The sound of a dog that barks."))
    assert found == [
        (
            'labels[1].prompts[1]: "The sound of a dog that barks." means nearly the same as '
            'labels[0].prompts[0] "a '
            'dog barking"; '
            "both labels will be detected together"
        )
    ]


def test_a_negative_that_is_the_sound_itself_is_named():
    found = advice(label("rain", "rain falling", against=("falling rain",)), background=("the rain falls",))
    assert [line.partition(":")[0] for line in found] == ["labels[0].against[0]", "background[0]"]
    assert all(line.endswith("the label will rarely be detected") for line in found)


def test_a_phrasing_that_stands_twice_is_named():
    assert advice(label("dog", "a dog barking", "A dog barking")) == [
        "labels[0].prompts[1]: is the same as labels[0].prompts[0]; it has no effect"
    ]


def test_different_sounds_of_the_same_make_are_not_taken_for_one():
    assert advice(label("a", "a smoke alarm beeping"), label("b", "a microwave oven beeping")) == []
    assert advice(label("a", "a door slamming"), label("b", "a door creaking")) == []


@pytest.mark.parametrize(
    ("keys", "start"),
    [
        ({"tls": True}, "mqtt.port: 1883 is usually the unencrypted port"),
        ({"port": 8883}, "mqtt.port: 8883 is usually the encrypted port"),
        ({"username": "me"}, "mqtt.username: has no password"),
    ],
)
def test_a_broker_that_will_refuse_is_named(keys, start):
    (found,) = advice(mqtt=MqttConfig(host="broker", **keys))
    assert found.startswith(start)
    assert advice(mqtt=MqttConfig(**keys)) == []


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cc", "Cs"])).filter(str.strip), min_size=1, max_size=4
    ),
    st.floats(0.1, 60),
    st.floats(0.01, 60),
)
def test_any_prompt_can_be_judged_in_one_line_each(prompts, window, hop):
    config = Config(
        labels=(label("a", *prompts),), background=tuple(prompts), window=WindowConfig(hop_seconds=hop)
    )
    assert all("\n" not in line for line in warnings(config, window_seconds=window))
