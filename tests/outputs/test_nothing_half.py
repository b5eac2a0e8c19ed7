"""A process killed fifty times while it writes clips and the store: nothing is ever half there."""

import json
import random
import sqlite3
from contextlib import closing

import pytest
import soundfile

from monitor.config import ClipsConfig
from monitor.outputs.clips import ClipLibrary
from monitor.outputs.store import FILE, StoreReader
from tests.support.events import RATE
from tests.support.png import read_png
from tests.support.store_writer import SECONDS
from tests.support.stored_events import storing
from tests.support.writer_lives import WriterLives

KILLS = 50


def whole(directory, path):
    """Read everything of a clip; what cannot be read raises."""
    samples, rate = soundfile.read(directory / path)
    assert (rate, len(samples)) == (RATE, SECONDS * RATE)
    read_png((directory / path).with_suffix(".png").read_bytes())
    return json.loads((directory / path).with_suffix(".json").read_text())["event"]["event_id"]


@pytest.fixture
def keeper(tmp_path):
    keeper = WriterLives("tests.support.store_writer", tmp_path)
    yield keeper
    keeper.end()


def test_after_every_kill_the_database_is_sound_and_every_clip_is_complete(tmp_path, keeper):
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    reader = StoreReader(tmp_path / FILE)
    library = ClipLibrary(recordings, ClipsConfig(max_megabytes=20, free_megabytes=1, keep_per_label=1))
    chance, looked_at = random.Random(7), set()
    half = 0
    for _ in range(KILLS):
        kept = keeper.live_and_die(chance.uniform(0, 0.15))
        with closing(sqlite3.connect(tmp_path / FILE)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert [ident for ident in kept if reader.event(ident) is None] == []

        left = {file.with_suffix("").name for file in recordings.glob("*/*")}
        half += len(left - {file.with_suffix("").name for file in recordings.glob("*/*.flac")})
        library.scan()
        clips = {clip.path: clip.event_id for clip in library.clips}
        stems = {file.with_suffix("").name for file in recordings.glob("*/*")}
        assert stems == {path.split("/")[1].removesuffix(".flac") for path in clips}
        for path in clips.keys() - looked_at:
            assert whole(recordings, path) == clips[path]
        looked_at |= clips.keys()

        with storing(tmp_path / FILE) as store:
            store.on_clips_found(list(library.with_events()))
        with closing(sqlite3.connect(tmp_path / FILE)) as connection:
            told = dict(connection.execute("SELECT clip, id FROM events WHERE clip IS NOT NULL").fetchall())
            open_ones = connection.execute("SELECT id FROM events WHERE ended_at IS NULL AND reason IS NULL")
            assert open_ones.fetchall() == []
        assert told == clips
    assert keeper.end() == ""
    reader.close()
    assert len(looked_at) >= KILLS
    assert half > 0, "no kill came while a clip was being written: it was not tried"
    assert not list(tmp_path.glob("*.broken.*"))
