import csv
import gzip
import struct
import zlib

import pytest

from training.places import Places
from training.rcc import read_resources
from training.recordings import find_recordings

COLUMNS = [
    "package",
    "path",
    "licence",
    "duration_s",
    "label",
    "caption",
    "confidence",
    "dup_group",
    "pcm_hash",
]


def row(path, label="bell", confidence="high", group="", pcm="", caption="a bell", duration=1.0):
    return {
        "package": "p", "path": path, "licence": "CC0", "duration_s": duration, "label": label,
        "caption": caption, "confidence": confidence, "dup_group": group, "pcm_hash": pcm or path,
    }  # fmt: skip


@pytest.fixture
def places(tmp_path):
    """A data folder with ESC-10 clips of all folds and an empty eval-dev."""
    places = Places(tmp_path / "data", tmp_path / "work")
    for fold in range(1, 6):
        clip = places.data / "esc10" / "person_sneeze" / f"{fold}-100-A.ogg"
        clip.parent.mkdir(parents=True, exist_ok=True)
        clip.touch()
    (places.data / "eval-dev").mkdir()
    write_evaluated(places, [])
    write_manifest(places, [])
    return places


def write_evaluated(places, paths):
    lines = ["file,source_path", *(f"x,p/{path}" for path in paths)]
    (places.data / "eval-dev" / "clips.csv").write_text("\n".join(lines))


def write_manifest(places, rows):
    places.manifest.parent.mkdir(exist_ok=True)
    with gzip.open(places.manifest, "wt") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    for each in rows:
        sound = places.packages / "p" / each["path"]
        sound.parent.mkdir(parents=True, exist_ok=True)
        sound.touch()


def corpus_names(places):
    return [r.path.name for r in find_recordings(places) if r.source == "corpus"]


def test_only_folds_1_to_3_are_read(places):
    folds = {r.path.name[0] for r in find_recordings(places) if r.source == "esc10"}
    assert folds == {"1", "2", "3"}


def test_esc10_has_the_labels_of_the_corpus(places):
    assert {r.label for r in find_recordings(places)} == {"sneeze"}


def test_evaluated_recordings_and_their_duplicates_are_left_out(places):
    write_manifest(places, [row("a.wav", group="h1"), row("b.wav", group="h1"), row("c.wav")])
    write_evaluated(places, ["a.wav"])
    assert corpus_names(places) == ["c.wav"]


def test_one_of_a_group_of_duplicates_is_kept(places):
    write_manifest(places, [row("a.wav", group="h1"), row("b.wav", group="h1"), row("c.wav", pcm="9")])
    assert len(corpus_names(places)) == 2


def test_placeholders_are_left_out(places):
    write_manifest(places, [row("a.wav", caption="(silent placeholder)")])
    assert corpus_names(places) == []


def test_a_label_of_low_confidence_is_forgotten(places):
    write_manifest(places, [row("a.wav", confidence="low")])
    assert [r.label for r in find_recordings(places) if r.source == "corpus"] == [""]


def test_speech_of_one_package_is_capped(places):
    rows = [row(f"{i}.wav", label="speech", duration=30) for i in range(40)]
    write_manifest(places, rows)
    assert len(corpus_names(places)) == 600 / 30


def test_the_order_is_the_same_every_time(places):
    write_manifest(places, [row(f"{i}.wav") for i in range(9)])
    assert corpus_names(places) == corpus_names(places)


def name_block(name):
    return struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")


def test_files_of_a_qt_resource_file(tmp_path):
    plain, squeezed = b"RIFF", struct.pack(">I", 9) + zlib.compress(b"nine byte")
    data = struct.pack(">I", len(plain)) + plain
    second = len(data)
    data += struct.pack(">I", len(squeezed)) + squeezed
    names = name_block("a.wav")
    other = len(names)
    names += name_block("b.txt")
    tree = struct.pack(">IHII", 0, 2, 2, 1)  # the root: a folder with 2 children from entry 1
    tree += struct.pack(">IHHHI", 0, 0, 0, 0, 0)
    tree += struct.pack(">IHHHI", other, 1, 0, 0, second)
    header = struct.pack(">4s4I", b"qres", 1, 20, 20 + len(tree), 20 + len(tree) + len(data))
    path = tmp_path / "x.rcc"
    path.write_bytes(header + tree + data + names)
    assert dict(read_resources(path)) == {"a.wav": b"RIFF", "b.txt": b"nine byte"}


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "x.rcc"
    path.write_bytes(bytes(32))
    with pytest.raises(ValueError, match="not a Qt resource file"):
        list(read_resources(path))
