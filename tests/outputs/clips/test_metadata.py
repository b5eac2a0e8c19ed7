"""Metadata beside a clip, whatever it is: no start is stopped by it, and what is lost is said."""

import json
import os
from contextlib import closing

import pytest

from monitor.outputs.clips import metadata
from monitor.outputs.store import FILE, Store, StoreReader
from tests.support.clip_events import DOG, event, library_of, put
from tests.support.events import ended
from tests.support.stored_events import FOR_EVER

KEPT = ended(event())


def changed(**facts):
    content = metadata.describe(KEPT, {}, DOG, "starter")
    content["event"] |= facts
    return json.dumps(content)


DAMAGED = {
    "deep nesting": "[" * 200_000,
    "a deep object": '{"event":' * 5000 + "1" + "}" * 5000,
    "a huge integer": changed(windows=10**30),
    "digits without end": '{"event": ' + "9" * 100_000 + "}",
    "half a surrogate": changed().replace('"dog"', '"\\ud800dog"'),
    "no number": changed().replace("0.8", "NaN", 1),
    "infinity": changed().replace("0.8", "1e999", 1),
    "text for a number": changed(score="0.8"),
    "truth for a number": changed(peak_score=True),
    "a list for a name": changed(label=["dog"]),
    "an empty name": changed(source=""),
    "a name without end": changed(label="x" * 10_000),
    "a line break in a name": changed(label="dog\nERROR"),
    "a time beyond time": changed(started_at=1e15),
    "a negative time": changed(started_at=-1.0),
    "a fraction of a window": changed(windows=1.5),
    "a mapping for a reason": changed(reason={}),
    "another identifier": changed(event_id="../../etc/passwd"),
    "no end": changed()[:-40],
    "another encoding": changed().encode("utf-16"),
    "bytes": bytes(range(256)) * 10,
    "nothing": "",
    "megabytes": changed() + " " * 2_000_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_one_costs_what_is_known_of_its_event_and_nothing_else(tmp_path, content, caplog):
    library = library_of(tmp_path)
    path = put(library)
    good = put(library, event().started_at + 5)
    beside = (tmp_path / path).with_suffix(".json")
    beside.write_bytes(content if isinstance(content, bytes) else content.encode())
    again = library_of(tmp_path)
    again.scan()
    again.scan()
    found = list(again.with_events())
    assert {clip: told is not None for clip, _, told in found} == {path: False, good: True}
    store = Store(tmp_path / FILE, FOR_EVER, rate=4)
    store.on_clips_found(found)
    store.close()
    store.run()
    assert (store.trouble, store.refused, store.waiting) == (None, 0, 0)
    with closing(StoreReader(tmp_path / FILE)) as reader:
        assert [each.clip for each in reader.events().rows] == [good]
    assert caplog.text.count(beside.name) <= 1
    assert again.lock(path, locked=True)


def test_the_event_comes_back_also_from_metadata_with_the_keys_of_earlier_builds():
    written = metadata.describe(KEPT, {}, DOG, "starter")["event"]
    old = {("id" if key == "event_id" else key): value for key, value in written.items()}
    old["peak"] = old.pop("peak_score")
    for facts in (written, old):
        assert metadata.event_of({"event": facts}) == KEPT


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(tmp_path, make):
    library = library_of(tmp_path)
    beside = (tmp_path / put(library)).with_suffix(".json")
    beside.unlink()
    make(beside)
    again = library_of(tmp_path)
    again.scan()
    assert [told for _, _, told in again.with_events()] == [None]


def test_of_many_damaged_ones_a_few_are_named(tmp_path, caplog):
    library = library_of(tmp_path)
    for i in range(30):
        (tmp_path / put(library, event().started_at + i)).with_suffix(".json").write_text("{")
    again = library_of(tmp_path)
    again.scan()
    assert caplog.text.count("is not JSON") == 5


def test_one_that_cannot_be_read_now_is_not_written_over(tmp_path):
    library = library_of(tmp_path)
    path = put(library)
    beside = (tmp_path / path).with_suffix(".json")
    beside.unlink()
    beside.symlink_to(beside.name)  # ELOOP
    with pytest.raises(OSError, match="symbolic links"):
        library.lock(path, locked=True)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(
    ("readable_by", "file_mode", "directory_mode"),
    [("owner", 0o600, 0o700), ("group", 0o640, 0o750), ("everyone", 0o644, 0o755)],
)
def test_clips_are_for_those_who_may_read_them_whatever_the_umask(
    tmp_path, umask, readable_by, file_mode, directory_mode
):
    before = os.umask(umask)
    try:
        library = library_of(tmp_path / "recordings", readable_by=readable_by)
        path = tmp_path / "recordings" / put(library)
    finally:
        os.umask(before)
    files = [path.with_suffix(suffix) for suffix in (".flac", ".png", ".json")]
    assert {file.stat().st_mode & 0o777 for file in files} == {file_mode}
    assert {place.stat().st_mode & 0o777 for place in (path.parent, path.parents[1])} == {directory_mode}
