"""Tables of what is heard."""

from pathlib import Path

import pytest

from monitor.evaluation import Occurrence, read_annotations
from monitor.types import SourceError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.flac", "b.flac"):
        (tmp_path / name).touch()
    return tmp_path


def written(folder: Path, text: str, name: str = "table.tsv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_dcase_table_gives_each_recording_its_sounds(folder):
    text = "filename\tonset\toffset\tevent_label\na.flac\t1\t2.5\tdog\na.flac\t4\t5\tcat\nb.flac\t0\t1\tdog\n"
    first, second = read_annotations(written(folder, text))
    assert first.path == folder / "a.flac"
    assert first.occurrences == (Occurrence("dog", 1.0, 2.5), Occurrence("cat", 4.0, 5.0))
    assert second.occurrences == (Occurrence("dog", 0.0, 1.0),)


def test_a_line_with_a_name_only_is_a_recording_without_sounds(folder):
    (only,) = read_annotations(written(folder, "filename\tonset\toffset\tevent_label\na.flac\t\t\t\n"))
    assert only.occurrences == ()
    assert only.clip_label is None


def test_an_extra_column_gives_the_snr(folder):
    text = "filename\tonset\toffset\tevent_label\tsnr_db\na.flac\t1\t2\tdog\t-5\n"
    (only,) = read_annotations(written(folder, text))
    assert only.occurrences[0].snr_db == -5.0


@pytest.mark.parametrize("header", ["", "onset\toffset\tevent_label\n"])
def test_without_names_the_table_is_of_the_recording_called_like_it(folder, header):
    (only,) = read_annotations(written(folder, f"{header}1\t2\tdog\n", "a.tsv"))
    assert only.path == folder / "a.flac"
    assert only.occurrences == (Occurrence("dog", 1.0, 2.0),)


def test_without_a_header_four_columns_begin_with_the_name(folder):
    (only,) = read_annotations(written(folder, "b.flac\t1\t2\tdog\n"))
    assert (only.path.name, only.occurrences[0].label) == ("b.flac", "dog")


@pytest.mark.parametrize(("file", "label"), [("filename", "event_label"), ("file", "label")])
def test_labels_without_times_are_of_whole_clips(folder, file, label):
    table = written(folder, f"{file},{label},licence\na.flac,dog,CC0\n", "clips.csv")
    (only,) = read_annotations(table)
    assert (only.clip_label, only.occurrences) == ("dog", ())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no line"),
        ("filename\tonset\toffset\tevent_label\n", "nothing but a header"),
        ("filename\tonset\toffset\tevent_label\nc.flac\t1\t2\tdog\n", ":2: .*c.flac: no such file"),
        ("filename\tonset\toffset\tevent_label\na.flac\t1\tsoon\tdog\n", ":2: .*numbers"),
        ("filename\tonset\toffset\tevent_label\na.flac\t3\t2\tdog\n", ":2: .*end before its beginning"),
        ("filename\tonset\toffset\tevent_label\na.flac\tnan\t2\tdog\n", ":2: "),
        ("filename\tonset\toffset\tevent_label\na.flac\t1\t2\t\n", ":2: event_label or label is missing"),
        ("filename\tsize\na.flac\t1\n", ":1: columns filename, size"),
        ("1\t2\tdog\n", "has no column filename"),
    ],
)
def test_a_fault_names_the_line(folder, text, complaint):
    with pytest.raises(SourceError, match=complaint):
        read_annotations(written(folder, text))


def test_a_table_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(SourceError, match="cannot be read"):
        read_annotations(tmp_path / "no.tsv")
