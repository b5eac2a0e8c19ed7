import pytest

from monitor.audio.sources.devices import Device, choose
from monitor.types import SourceError


def device(index, name, *, default=False):
    return Device(index, name, "ALSA", channels=2, rate=48000.0, default=default)


FOUND = [
    device(0, "USB Mic: Audio"),
    device(2, "USB Camera"),
    device(5, "pulse", default=True),
    device(6, "pulse 2"),
]


@pytest.mark.parametrize(
    ("wanted", "index"), [("camera", 2), ("usb mic", 0), ("PULSE", 5), (6, 6), (None, 5)]
)
def test_a_device_is_found_by_name_part_of_a_name_index_or_as_the_default(wanted, index):
    assert choose(FOUND, wanted).index == index


def test_without_a_default_the_first_is_taken():
    assert choose(FOUND[:2], None).index == 0


@pytest.mark.parametrize(
    ("found", "wanted", "message"),
    [
        (
            FOUND,
            "usb",
            (
                "'usb' matches several microphones; use a longer part of the name: "
                "0 'USB Mic: Audio', 2 'USB Camera'"
            ),
        ),
        (FOUND[:2], "jack", "no microphone is called 'jack'; found: 0 'USB Mic: Audio', 2 'USB Camera'"),
        (FOUND[:1], 1, "no microphone is called 1; found: 0 'USB Mic: Audio'"),
        ([], None, "there is no microphone: is one connected, and is this user in the group `audio`?"),
    ],
)
def test_what_cannot_be_found_is_said_with_what_there_is(found, wanted, message):
    with pytest.raises(SourceError) as raised:
        choose(found, wanted)
    assert str(raised.value) == message
