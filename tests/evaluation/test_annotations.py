"""Tables of what is heard."""

from pathlib import Path

import pytest

from monitor.evaluation.annotations import Occurrence, read_annotations
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
        ("", "is empty"),
        ("filename\tonset\toffset\tevent_label\n", "contains only a header"),
        ("filename\tonset\toffset\tevent_label\nc.flac\t1\t2\tdog\n", ":2: .*c.flac: no such file"),
        ("filename\tonset\toffset\tevent_label\na.flac\t1\tsoon\tdog\n", ":2: .*numbers"),
        ("filename\tonset\toffset\tevent_label\na.flac\t3\t2\tdog\n", ":2: .*the offset is before the onset"),
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


TABLE = "filename\tonset\toffset\tevent_label\na.flac\t1.5\t2.5\tdog\nb.flac\t0\t1\tcat\n"
EXPECTED = [("a.flac", (Occurrence("dog", 1.5, 2.5),)), ("b.flac", (Occurrence("cat", 0.0, 1.0),))]


def read(folder, content):
    (folder / "table.tsv").write_bytes(content)
    return [(one.path.name, one.occurrences) for one in read_annotations(folder / "table.tsv")]


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        b"\xfe\xff" + TABLE.encode("utf-16-be"),
        TABLE.encode("utf-32"),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace("\n", "\r").encode(),
        TABLE.replace("\n", "\n\n").encode(),
        ("\n\n" + TABLE).encode(),
        TABLE.replace("\t", ",").encode(),
        TABLE.replace("\t", ";").encode(),
        TABLE.replace("\t", ";").replace(".5", ",5").encode("utf-8-sig"),
        TABLE.replace(".5", ",5").encode(),
        TABLE.replace("\n", "\t\t\n").encode(),
        TABLE.replace("\t", ",").replace("\n", ",,,\n").encode(),
        TABLE.replace("filename", "Filename").replace("event_label", "Event Label").encode(),
        ("sep=;\r\n" + TABLE.replace("\t", ";").replace("\n", "\r\n")).encode(),
        "\n".join(
            ";".join(f'"{cell}"' for cell in line.split("\t")) for line in TABLE.rstrip().split("\n")
        ).encode(),
        b"Event_Label;OFFSET;Onset;FILENAME\ndog;2,5;1,5;a.flac\ncat;1;0;b.flac",
        TABLE.partition("\n")[2].encode(),
        TABLE.partition("\n")[2].replace("\t", ";").replace(".5", ",5").encode("utf-8-sig"),
        TABLE.replace("dog", '"dog"').replace("a.flac", ' "a.flac"'.strip()).encode(),
    ],
    ids=range(21),
)
def test_a_table_is_read_as_any_program_writes_it(folder, content):
    assert read(folder, content) == EXPECTED


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            TABLE.replace("\t", ",").replace(".5", ",5").encode(),
            r":2: 6 cells for 4 columns \(a decimal comma",
        ),
        (TABLE.encode() + b"a.flac\t1\t2\tdog\tmore\n", ":4: 5 cells for 4 columns$"),
        ("a.flac\t1\t2\tHähne\n".encode("latin-1"), ":1: is not text in UTF-8; save the table as UTF-8"),
        (TABLE.encode("utf-16-le"), "NUL bytes"),
        (b"PK\x03\x04\x00\x00", "NUL bytes"),
        (TABLE.replace("offset", "onset").encode(), ":1: two columns are called onset"),
        (TABLE.replace("2.5", "inf").encode(), ":2: onset, offset and snr_db must be finite"),
        (TABLE.replace("1.5", "1.234,5").encode(), ":2: onset, offset and snr_db must be numbers"),
        (TABLE.replace("1.5", "").encode(), ":2: onset, offset and snr_db must be numbers"),
        (TABLE.replace("a.flac", "a" * 300).encode(), ":2: .*no such file"),
        (TABLE.replace("dog", '"dog').encode() + b"x" * 200_000, "table.tsv: Error: field larger"),
        (
            TABLE.replace("dog", '"dog').encode() + b"a.flac\t1\t2\tdog\n",
            ":2: .*quotation mark .* not closed",
        ),
        (TABLE.replace("a.flac", '"a.flac', 1).encode(), r":2: "),
        (b"\xff\xfe", "is empty"),
        (b"\n \n\t\t\n", "is empty"),
    ],
    ids=range(15),
)
def test_what_cannot_be_read_says_why(folder, content, complaint):
    with pytest.raises(SourceError, match=complaint) as caught:
        read(folder, content)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_table_that_never_ends_is_refused():
    with pytest.raises(SourceError, match="not a regular file"):
        read_annotations(Path("/dev/zero"))
