"""A backup is whole or refused, and restoring one loses nothing that was there."""

import json
import os
import tarfile
from io import BytesIO

import pytest

from monitor.daemon.backup import MANIFEST, write_backup
from monitor.daemon.restore import BackupError, restore_backup
from monitor.outputs.store import EventFilter, StoreReader
from monitor.system import state_version
from monitor.system.state_version import prepare_state
from monitor.types import OutputError
from tests.support.events import label_of
from tests.support.stored_events import NOON, event, storing

LEFT_OUT = ("prompts", "outbox", "history.sqlite-")


@pytest.fixture
def state(tmp_path):
    """A state directory as a monitor leaves it."""
    place = tmp_path / "state"
    place.mkdir(mode=0o700)
    prepare_state(place)
    with storing(place / "history.sqlite") as store:
        for number in range(300):
            store.on_event(event(NOON + number, id=f"EVENT{number:04d}"), label_of("dog"))
    (place / "overrides.json").write_text('{"armed": true, "labels": {}, "thresholds": {}}')
    (place / "prompts").mkdir()
    (place / "prompts" / "cached.npy").write_bytes(b"x")
    (place / "outbox.sqlite").write_bytes(b"waiting")
    hour = place / "memory" / "0123456789abcdef" / "hall"
    hour.mkdir(parents=True)
    for name in ("1790000000000000000.index", "1790000000000000000.vectors"):
        (hour / name).write_bytes(os.urandom(5000))
    return place


@pytest.fixture
def archive(tmp_path, state):
    configuration = tmp_path / "monitor.yaml"
    configuration.write_text("node: attic\n")
    write_backup(tmp_path / "backup.tar", state, configuration, memory=True)
    return tmp_path / "backup.tar"


def names(path):
    with tarfile.open(path) as archive:
        return archive.getnames()


def files(place):
    return {
        path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()
    }


def rewritten(path, change):
    """The same archive, its members changed."""
    with tarfile.open(path) as archive:
        members = {each.name: archive.extractfile(each).read() for each in archive}
    change(members)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))


def test_what_is_restored_is_what_was_there(tmp_path, state, archive):
    assert archive.stat().st_mode & 0o777 == 0o600
    done = restore_backup(archive, tmp_path / "new" / "state", tmp_path / "new" / "monitor.yaml")
    assert (done.aside, done.configuration.read_text()) == (None, "node: attic\n")
    before, after = files(state), files(tmp_path / "new" / "state")
    assert after.keys() == {name for name in before if not name.startswith(LEFT_OUT)}
    assert all(after[name] == before[name] for name in after if name != "history.sqlite")
    reader = StoreReader(tmp_path / "new" / "state" / "history.sqlite")
    assert len(reader.events(EventFilter(), limit=500).rows) == 300
    reader.close()


def test_the_memory_is_left_out_unless_it_is_wanted(tmp_path, state):
    write_backup(tmp_path / "small.tar", state, None, memory=False)
    assert not any("memory" in name for name in names(tmp_path / "small.tar"))


def test_a_store_that_is_being_written_is_copied_as_of_one_moment(tmp_path, state):
    with storing(state / "history.sqlite") as store:
        for number in range(2000):
            store.on_event(event(NOON + 1000 + number, id=f"LATER{number:04d}"), label_of("dog"))
        write_backup(tmp_path / "backup.tar", state, None, memory=False)
    restore_backup(tmp_path / "backup.tar", tmp_path / "new", tmp_path / "monitor.yaml")
    reader = StoreReader(tmp_path / "new" / "history.sqlite")
    page = reader.events(EventFilter(until=NOON + 1000), limit=500)
    assert len(page.rows) == 300
    reader.close()


def test_the_old_state_and_configuration_stay_beside_the_new(tmp_path, state, archive):
    (state / "new.json").write_text("{}")
    (tmp_path / "monitor.yaml").write_text("node: cellar\n")
    done = restore_backup(archive, state, tmp_path / "monitor.yaml")
    assert (done.aside / "new.json").exists()
    assert not (state / "new.json").exists()
    assert (tmp_path / "monitor.yaml").read_text() == "node: cellar\n"
    assert (tmp_path / "monitor.restored.yaml").read_text() == "node: attic\n"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.9, 0.97])
def test_a_cut_archive_is_refused_and_changes_nothing(tmp_path, state, archive, share):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    before = files(state)
    with pytest.raises(BackupError, match=r"is not a whole backup|is damaged"):
        restore_backup(archive, state, tmp_path / "other.yaml")
    assert files(state) == before
    assert {path.name for path in tmp_path.iterdir()} == {"state", "backup.tar", "monitor.yaml"}


def swap_byte(members):
    content = bytearray(members["state/history.sqlite"])
    content[5000] ^= 1
    members["state/history.sqlite"] = bytes(content)


def add(name):
    return lambda members: members.update({name: b"x"})


def manifest(**keys):
    def change(members):
        members[MANIFEST] = json.dumps(json.loads(members[MANIFEST]) | keys).encode()

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (swap_byte, "is damaged: state/history.sqlite"),
        (lambda members: members.pop("state/overrides.json"), "is damaged: state/overrides.json"),
        (lambda members: members.pop(MANIFEST), "its manifest is missing"),
        (add("state/more.json"), "is damaged: state/more.json"),
        (add("../outside"), "no part of a backup"),
        (add("state/../../outside"), "no part of a backup"),
        (add("/etc/outside"), "no part of a backup"),
        (manifest(format=2), "newer version"),
        (manifest(state_version=99), "newer version"),
        (manifest(files={"x": 1}), "its manifest is damaged"),
        (manifest(made_at="never"), "its manifest is damaged"),
    ],
)
def test_a_changed_archive_is_refused(tmp_path, state, archive, change, text):
    rewritten(archive, change)
    before = files(state)
    with pytest.raises(BackupError, match=text):
        restore_backup(archive, state, tmp_path / "other.yaml")
    assert files(state) == before
    assert not (tmp_path.parent / "outside").exists()


def test_a_link_in_an_archive_is_refused(tmp_path, state, archive):
    with tarfile.open(archive, "a") as opened:
        link = tarfile.TarInfo("state/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(link)
    with pytest.raises(BackupError, match="no part of a backup"):
        restore_backup(archive, state, tmp_path / "other.yaml")


def test_what_cannot_be_written_is_said(tmp_path, state, archive):
    with pytest.raises(OutputError, match="no backup: No such file or directory"):
        write_backup(tmp_path / "absent" / "backup.tar", state, None, memory=False)
    with pytest.raises(BackupError, match="no such file"):
        restore_backup(tmp_path / "absent.tar", state, tmp_path / "other.yaml")
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="not restored"):
        restore_backup(archive, blocked / "state", tmp_path / "other.yaml")


def test_a_newer_state_directory_is_refused(state):
    (state / "version.json").write_text('{"version": 2}')
    with pytest.raises(OutputError, match="written by a newer version of clap-monitor"):
        prepare_state(state)


@pytest.mark.parametrize("content", [None, "", "[]", '{"version": "1"}', '{"version": -1}', "{"])
def test_a_state_directory_without_a_version_gets_one(state, content):
    path = state / "version.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    prepare_state(state)
    assert json.loads(path.read_text()) == {"version": 1}


def test_an_older_state_directory_is_brought_up_to_date(state, monkeypatch):
    seen = []
    monkeypatch.setattr(state_version, "VERSION", 3)
    monkeypatch.setattr(state_version, "MIGRATIONS", {1: seen.append, 2: seen.append})
    prepare_state(state)
    assert seen == [state, state]
    assert json.loads((state / "version.json").read_text()) == {"version": 3}
