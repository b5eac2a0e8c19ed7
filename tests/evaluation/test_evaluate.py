"""From annotated recordings to figures, text, JSON and pictures."""

import json
from dataclasses import replace

import pytest

from monitor.detection.prototypes import Directions
from monitor.evaluation.annotations import Occurrence, Recording
from monitor.evaluation.evaluate import evaluate
from monitor.evaluation.plot import plot
from monitor.evaluation.report import as_json, as_text
from monitor.types import ConfigError, OutputError
from tests.support.two_pitches import CONFIG, ENGINE, write


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    first = write(folder / "first.wav", 60, ("low", 8, 12), ("high", 30, 34))
    second = write(folder / "second.wav", 60, ("low", 20, 24), ("low", 40, 44))
    return [
        Recording(first, (Occurrence("low", 8, 12, 20.0), Occurrence("a high tone", 30, 34, 0.0))),
        Recording(second, (Occurrence("Low", 20, 24, 20.0), Occurrence("thunder", 50, 51))),
    ]


@pytest.fixture(scope="module")
def report(scenes):
    return evaluate(scenes, CONFIG, ENGINE)


@pytest.fixture
def clips(tmp_path):
    made = [("low", 0.5), ("low", 3.0), ("high", 0.5), ("high", 2.0)]
    return [
        Recording(write(tmp_path / f"{i}.wav", seconds, (name, 0, seconds)), clip_label=name)
        for i, (name, seconds) in enumerate(made)
    ]


def test_labels_are_known_by_id_name_or_sentence(report):
    assert report.detection["low"].occurrences == 2
    assert report.detection["high"].occurrences == 1
    assert report.ignored == ("thunder",)


def test_what_is_there_is_found_and_what_is_not_annotated_is_a_false_alarm(report):
    low = report.detection["low"]
    assert low.recall.value == 1.0
    assert low.false_per_hour.value == pytest.approx(1 / (2 / 60))
    assert report.detection["high"].false_per_hour.value == 0.0
    assert report.detection["all"].recall.value == 1.0


def test_false_alarms_of_all_labels_are_counted_for_each_label(report):
    assert report.detection["all"].false_per_hour.value == pytest.approx(30 / 2)


def test_latency_is_at_least_the_confirmation(report):
    assert 0.5 < report.detection["all"].latency_p50 <= report.detection["all"].latency_p95 < 3.0


def test_recall_is_given_at_three_rates_of_false_alarms(report):
    recalls = report.detection["high"].recall_at
    assert list(recalls) == ["0.1", "1", "10"]
    assert [recall.value for recall in recalls.values()] == [1.0, 1.0, 1.0]


def test_recall_is_split_by_snr_loudest_first(report):
    assert list(report.detection["high"].recall_at_snr) == ["20", "0"]
    assert report.detection["high"].recall_at_snr["0"].value == 1.0


def test_the_curve_never_finds_more_with_a_threshold_out_of_reach(report):
    curve = report.detection["high"].curve
    assert curve[-1].recall == curve[-1].false_per_hour == 0.0
    assert max(point.recall for point in curve) == 1.0


def test_clips_are_ranked_and_short_ones_are_filled(clips):
    report = evaluate(clips, CONFIG, ENGINE)
    assert report.ranking["all"].auroc.value == 1.0
    assert report.ranking["low"].clips == 2
    assert report.detection == {}


def test_json_holds_everything(report):
    content = json.loads(as_json(report))
    assert content["detection"]["low"]["recall"]["value"] == 1.0
    assert content["psds"].keys() == {"psds1", "psds2"}


def test_text_has_a_line_for_each_label(report, clips):
    text = as_text(report)
    assert all(f"\n{name} " in text for name in ("low", "high", "all", "mean"))
    assert "not evaluated: thunder" in text
    assert "average precision" in as_text(evaluate(clips, CONFIG, ENGINE))


def test_the_picture_is_drawn_twice(report, tmp_path):
    png, svg = plot(report, tmp_path / "new" / "curve")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "<svg" in svg.read_text()


def test_clips_alone_have_no_curve(clips, tmp_path):
    with pytest.raises(OutputError, match="only clips"):
        plot(evaluate(clips, CONFIG, ENGINE), tmp_path / "curve")


def test_an_annotation_of_other_labels_is_an_error(scenes):
    strange = [Recording(scenes[0].path, (Occurrence("thunder", 1, 2),))]
    with pytest.raises(ConfigError, match=r"none of low, high .* thunder"):
        evaluate(strange, CONFIG, ENGINE)


def test_progress_is_told(scenes):
    told = []
    evaluate(scenes[:1], CONFIG, ENGINE, progress=lambda *what: told.append(what))
    assert told[0] == ("recordings", 1, 1)
    assert told[-1][0] == "thresholds"
    assert told[-1][1] == told[-1][2]


def test_where_nothing_is_annotated_every_report_is_a_false_alarm(tmp_path):
    quiet = Recording(write(tmp_path / "quiet.wav", 60))
    loud = Recording(write(tmp_path / "loud.wav", 60, ("low", 8, 12)))
    report = evaluate([quiet, loud], CONFIG, ENGINE)
    low = report.detection["low"]
    assert low.recall.value is None
    assert low.false_per_hour.value == pytest.approx(1 / (2 / 60))
    assert report.detection["high"].false_per_hour.value == 0.0
    assert "false alarms/h" in as_text(report)


ONE = CONFIG.model_copy(update={"labels": CONFIG.labels[:1]})
ENGINE_OF_ONE = replace(
    ENGINE,
    prototypes=replace(
        ENGINE.prototypes,
        labels=ENGINE.prototypes.labels[:1],
        directions=Directions(ENGINE.prototypes.directions.vectors[:1]),
        is_against=ENGINE.prototypes.is_against[:1],
        fingerprints=ENGINE.prototypes.fingerprints[:1],
    ),
)


def refuse(constant):
    raise ValueError(constant)


@pytest.mark.parametrize(
    ("seconds", "occurrences", "psds"),
    [
        (60, [(8, 12)], 1.0),
        (60, [(8, 12), (30, 34)], 1.0),
        (60, [], None),
        (0.5, [], None),
        (0.5, [(0, 0.4)], None),
        (60, [(70, 72)], 0.0),
    ],
    ids=["once", "twice", "nothing", "shorter than a window", "and something in it", "beyond the end"],
)
def test_a_single_label_is_measured(tmp_path, seconds, occurrences, psds):
    file = write(tmp_path / "a.wav", seconds, *(("low", *times) for times in occurrences))
    recording = Recording(file, tuple(Occurrence("low", *times) for times in occurrences))
    report = evaluate([recording], ONE, ENGINE_OF_ONE)
    assert set(report.psds.values()) == {psds}
    assert json.loads(as_json(report), parse_constant=refuse)["labels"] == ["low"]
    assert as_text(report)


def test_a_recording_too_short_to_be_heard_does_not_stop_a_single_label(tmp_path):
    long = write(tmp_path / "a.wav", 60, ("low", 8, 12))
    short = write(tmp_path / "b.wav", 0.5)
    report = evaluate([Recording(long, (Occurrence("low", 8, 12),)), Recording(short)], ONE, ENGINE_OF_ONE)
    assert report.detection["low"].recall.value == 1.0
