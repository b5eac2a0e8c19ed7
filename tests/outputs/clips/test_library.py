"""The library: clips stay within their limits, whole or not at all, and nothing else is touched."""

import errno
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import ClipsConfig
from monitor.detection.event_machine import ulid
from monitor.outputs.clips import ClipLibrary, clip_path, metadata
from monitor.outputs.clips.retention import StoredClip, clips_to_delete
from tests.support.clip_events import DOG, PLENTY, event, library_of, put
from tests.support.clocks import settled
from tests.support.events import AT, ended
from tests.support.small_disk import remount, small_disk

DAY = 86_400
MEGABYTE = 1_000_000


def paths(library):
    return [clip.path for clip in library.clips]


def files(directory):
    return sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())


def test_what_is_put_in_is_found_again_also_by_another_library(tmp_path):
    library = library_of(tmp_path)
    put(library)
    put(library, AT + 5, label="cat")
    again = library_of(tmp_path)
    again.scan()
    assert again.clips == library.clips
    assert [clip.label for clip in again.clips] == ["dog", "cat"]
    assert again.size == library.size == sum((tmp_path / f).stat().st_size for f in files(tmp_path))


def test_old_clips_go_but_for_the_newest_of_each_label(tmp_path):
    library = library_of(tmp_path, keep_days=2, keep_per_label=1)
    for days in (5, 4, 1):
        put(library, AT - days * DAY)
    for days in (9, 8):
        put(library, AT - days * DAY, label="cat")
    library.scan()
    assert [(round((AT - clip.at) / DAY), clip.label) for clip in library.clips] == [(8, "cat"), (1, "dog")]
    assert library.deleted == {"older than 2 days": 3}


def test_the_oldest_make_room_and_that_is_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    gone = []
    library = library_of(tmp_path, max_megabytes=1, keep_per_label=0, on_deleted=gone.append)
    put(library, AT, size=600_000)
    first = library.clips[0].event_id
    put(library, AT + 1, size=600_000)
    assert len(library.clips) == 1
    assert library.clips[0].at == int(AT + 1) or library.clips[0].at == AT + 1
    assert gone == [first]
    assert "1 oldest clips deleted: more than 1 MB" in caplog.text


def test_for_free_space_even_the_newest_of_a_label_goes_but_nothing_that_is_locked(tmp_path):
    free = [0]
    config = ClipsConfig(enabled=True, free_megabytes=0, keep_per_label=5)
    library = ClipLibrary(tmp_path, config, free=lambda _: free[0], clock=settled(AT))
    free[0] = PLENTY
    one, two = put(library), put(library, AT + 1)
    assert library.lock(one, locked=True)
    free[0] = 0
    kept = ended(event(at=AT + 2))
    assert not library.put(kept, clip_path(kept), {".flac": b"x"}, {})
    assert paths(library) == [one]
    assert not (tmp_path / two).exists()


def test_a_lock_is_remembered_and_can_be_taken_away(tmp_path):
    library = library_of(tmp_path)
    path = put(library, AT - 90 * DAY)
    assert library.lock(path, locked=True)
    again = library_of(tmp_path, keep_per_label=0)
    again.scan()
    assert [clip.locked for clip in again.clips] == [True]
    assert again.lock(path, locked=False)
    again.scan()
    assert files(tmp_path) == []
    assert not again.lock(path, locked=True)


def test_what_a_killed_process_left_is_taken_away_and_nothing_else(tmp_path):
    library = library_of(tmp_path)
    path = Path(put(library))
    half = Path(clip_path(ended(event(at=AT + 9, id=ulid(AT + 9)))))
    strange = [
        "demo.flac",
        "2026-11-23/holiday.flac",
        "2026-11-23/holiday.json",
        "2026-11-23/20261123T120003Z.part",
        "notes/20261123T120003Z_mic_dog_01JDABCDEFGHJKMNPQRSTVWXYZ.json",
        "2026-11-23/\udce4\nodd.flac",
    ]
    for name in [*strange, half.with_suffix(".png"), half.with_suffix(".json"), half.with_suffix(".part")]:
        file = tmp_path / os.fsencode(str(name)).decode("utf-8", "surrogateescape")
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    other = "0" if path.stem[-1] == "1" else "1"
    (tmp_path / "2026-11-23" / f"{path.stem[:-1]}{other}.flac").mkdir()
    again = library_of(tmp_path)
    again.scan()
    assert set(strange) | {str(path.with_suffix(s)) for s in (".flac", ".json", ".png")} == set(
        files(tmp_path)
    )


def test_a_clip_without_its_sidecar_is_a_clip(tmp_path):
    library = library_of(tmp_path)
    path = tmp_path / put(library)
    path.with_suffix(".json").unlink()
    again = library_of(tmp_path)
    again.scan()
    assert len(again.clips) == 1
    path.with_suffix(".json").write_text("{ broken")
    again.scan()
    assert [(told[0], told[2]) for told in again.with_events()] == [
        (path.relative_to(tmp_path).as_posix(), None)
    ]


@pytest.mark.parametrize(
    "content",
    ["[]", "null", '{"event": 1}', '{"event": {}}', '{"event": {"id": 1}, "locked": "yes"}', "\x00"],
)
def test_a_sidecar_with_anything_in_it_stops_nothing(tmp_path, content):
    library = library_of(tmp_path)
    (tmp_path / put(library)).with_suffix(".json").write_text(content)
    again = library_of(tmp_path)
    again.scan()
    assert [(clip.locked, told[2]) for clip, told in zip(again.clips, again.with_events(), strict=True)] == [
        (False, None)
    ]


def test_an_event_comes_back_from_beside_its_clip(tmp_path):
    library = library_of(tmp_path)
    kept = ended(event())
    for level in (-30.0, float("-inf")):
        kept = replace(kept, level_dbfs=level)
        library.put(kept, clip_path(kept), {".flac": b"x"}, metadata.describe(kept, {}, DOG, "starter"))
        ((_, ident, told),) = library.with_events()
        assert (ident, told) == (kept.id, kept)


def test_a_clip_that_somebody_else_deleted_stops_nothing(tmp_path):
    library = library_of(tmp_path, max_megabytes=1, keep_per_label=0)
    path = put(library, size=900_000)
    (tmp_path / path).unlink()
    assert library.find(path) is None
    put(library, AT + 1, size=900_000)
    assert len(library.clips) == 1


def test_deleting_takes_everything_of_a_clip_and_nothing_else(tmp_path):
    library = library_of(tmp_path)
    one, two = put(library), put(library, AT + 1)
    assert library.delete(one)
    assert paths(library) == [two]
    assert {Path(name).stem for name in files(tmp_path)} == {Path(two).stem}
    assert not library.delete("../../etc/passwd")
    assert not library.delete("2026-11-23/holiday.flac")
    assert library.delete(two)
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_cannot_be_written_leaves_nothing(tmp_path):
    library = library_of(tmp_path)
    kept = ended(event())
    (tmp_path / clip_path(kept)).with_suffix(".flac").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        library.put(kept, clip_path(kept), {".png": b"x", ".flac": b"x"}, {})
    assert files(tmp_path) == []


@pytest.mark.root
def test_on_a_disk_that_became_read_only_it_is_said_once_and_goes_on(tmp_path, caplog):
    with small_disk(tmp_path / "small") as small:
        library = library_of(small, keep_per_label=0)
        old = put(library, AT - 90 * DAY)
        remount(small, "ro")
        for _ in range(3):
            library.scan()
        assert caplog.text.count("cannot be deleted: Read-only file system") == 1
        assert paths(library) == [old]
        kept = ended(event())
        with pytest.raises(OSError, match="Read-only file system") as caught:
            library.put(kept, clip_path(kept), {".flac": b"x"}, {})
        assert caught.value.errno == errno.EROFS
        remount(small, "rw")
        assert library.delete(old)
        put(library)


def test_files_that_a_library_writes_are_json_that_others_can_read(tmp_path):
    library = library_of(tmp_path)
    path = (tmp_path / put(library)).with_suffix(".json")
    assert json.loads(path.read_text())["event"]["label"] == "dog"
    library.lock(paths(library)[0], locked=True)
    assert json.loads(path.read_text())["event"]["label"] == "dog"


CLIPS = st.lists(
    st.builds(
        StoredClip,
        path=st.uuids().map(str),
        event_id=st.just("x"),
        source=st.just("mic"),
        label=st.sampled_from(["dog", "cat", "bird"]),
        at=st.integers(0, 40 * DAY).map(float),
        bytes=st.integers(1, MEGABYTE // 2),
        locked=st.booleans(),
    ),
    unique_by=lambda clip: clip.path,
    max_size=30,
)


@given(
    clips=CLIPS,
    limits=st.fixed_dictionaries(
        {
            "keep_days": st.integers(1, 40),
            "max_megabytes": st.integers(1, 8),
            "free_megabytes": st.integers(0, 8),
            "keep_per_label": st.integers(0, 4),
        }
    ),
    free=st.integers(0, 12 * MEGABYTE),
    need=st.integers(0, MEGABYTE),
)
def test_limits_hold_whatever_there_is(clips, limits, free, need):
    config = ClipsConfig(**limits)
    now = 40.0 * DAY
    gone = [clip for clip, _ in clips_to_delete(clips, config, now=now, free=free, need=need)]
    reasons = {clip.path: why for clip, why in clips_to_delete(clips, config, now=now, free=free, need=need)}
    left = [clip for clip in clips if clip not in gone]
    newest = set()
    for label in ("dog", "cat", "bird"):
        of_label = sorted(
            (c for c in clips if c.label == label and not c.locked), key=lambda c: (c.at, c.path)
        )
        newest |= (
            {c.path for c in of_label[max(0, len(of_label) - config.keep_per_label) :]}
            if config.keep_per_label
            else set()
        )

    assert len(reasons) == len(gone)
    assert not any(clip.locked for clip in gone)
    free_after = free + sum(clip.bytes for clip in gone)
    lacks_space = free_after - need < config.free_megabytes * MEGABYTE
    assert not lacks_space or all(clip.locked for clip in left)
    free_to_go = [clip for clip in left if not clip.locked and clip.path not in newest]
    total = need + sum(clip.bytes for clip in left)
    assert total <= config.max_megabytes * MEGABYTE or not free_to_go
    assert not any(clip.at < now - config.keep_days * DAY for clip in free_to_go)
    for clip in gone:
        if clip.path in newest:
            assert "free" in reasons[clip.path]
    for clip in (c for c in gone if "MB" in reasons[c.path] and c.path not in newest):
        assert all((clip.at, clip.path) < (other.at, other.path) for other in free_to_go)


@given(clips=CLIPS, need=st.integers(0, MEGABYTE))
def test_within_the_limits_nothing_goes(clips, need):
    config = ClipsConfig(keep_days=100, max_megabytes=100, free_megabytes=1, keep_per_label=0)
    assert clips_to_delete(clips, config, now=40.0 * DAY, free=PLENTY, need=need) == []
