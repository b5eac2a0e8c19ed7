"""Start times of recordings, from names as recorders give them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from monitor.archive.recording_list import Recording
from monitor.archive.start_times import StartTime, TimeFrom, start_time

AT = datetime(2024, 1, 31, 6, 30, tzinfo=UTC).timestamp()
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("path", "known_from"),
    [
        ("/card/20240131_063000.WAV", TimeFrom.AUDIOMOTH),
        ("/card/20240131_063000T.WAV", TimeFrom.AUDIOMOTH),
        ("/card/24F31901603710F3_20240131_063000.WAV", TimeFrom.AUDIOMOTH),
        ("/card/SITE-3_20240131_063000_000.wav", TimeFrom.AUDIOMOTH),
        ("/card/65B9E8E8.WAV", TimeFrom.AUDIOMOTH),
        ("/media/frigate/recordings/2024-01-31/06/front_door/30.00.mp4", TimeFrom.FRIGATE),
        ("2024-01-31/20240131T063000Z_hall_dog_01HNF2Q8ZJ3V5W7X9Y1A2B3C4D.flac", TimeFrom.CLIP),
        ("/clips/parus_major_80p_20240131T063000Z.wav", TimeFrom.CLIP),
        ("s3://bucket/a/20240131_063000.flac", TimeFrom.AUDIOMOTH),
    ],
)
def test_a_name_says_when_the_recording_began(path, known_from):
    assert start_time(path, {}) == StartTime(AT, known_from)


@pytest.mark.parametrize(
    "name", ["2024-01-31-birdnet-07:30:00.wav", "Wren-85-2024-01-31-birdnet-RTSP_1-07:30:00.mp3"]
)
def test_a_time_without_a_zone_is_of_the_one_that_is_named(name):
    assert start_time(f"/home/{name}", {}, zone=BERLIN) == StartTime(AT, TimeFrom.BIRDNET_PI)
    assert start_time("/card/20240131_073000.WAV", {}, zone=BERLIN) == StartTime(AT, TimeFrom.AUDIOMOTH)


@pytest.mark.parametrize(
    "tags",
    [
        {"creation_time": "2024-01-31T06:30:00.000000Z"},
        {"date": "2024-01-31", "creation_time": "06:30:00"},
        {"comment": "Recorded at 08:00:00 31/01/2024 (UTC+1:30) by AudioMoth 24F31901 at medium gain"},
        {"comment": "Recorded at 06:30:00 31/01/2024 (UTC) by AudioMoth 24F31901 at medium gain"},
    ],
)
def test_metadata_count_where_the_name_says_nothing(tags):
    assert start_time("/a/dawn.wav", tags, modified_at=5e8) == StartTime(AT, TimeFrom.METADATA)


def test_the_last_change_less_the_length_is_the_last_resort():
    found = start_time("/a/dawn.wav", {"creation_time": "soon"}, modified_at=AT + 60, seconds=60)
    assert found == StartTime(AT, TimeFrom.FILE_TIME)
    assert start_time("/a/dawn.wav", {}).known_from == TimeFrom.UNKNOWN


@pytest.mark.parametrize(
    "name", ["20241331_063000.WAV", "20240131_250000.WAV", "20240131.WAV", "00000000.WAV"]
)
def test_digits_that_are_no_time_are_not_taken_for_one(name):
    assert start_time(f"/card/{name}", {}).known_from == TimeFrom.UNKNOWN


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/archive/garden/2024/01-31/a.wav", "garden"),
        ("s3://bucket/north wood/2024-01-31/a.wav", "north wood"),
        ("/media/card/DCIM/a.wav", "card"),
        ("/a.wav", "archive"),
    ],
)
def test_a_source_is_the_folder_that_is_not_only_a_date(address, place):
    assert Recording(address, 0, "").place == place
