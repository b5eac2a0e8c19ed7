"""Bench of the starter: numbers that belong together, on a machine of whatever speed."""

import json

from monitor.evaluation.bench import _dtype
from tests.support.command_line import clap_monitor


def test_bench_measures_the_stages_and_recommends(tmp_path):
    done = clap_monitor(
        "bench",
        "--labels",
        "3",
        "--sources",
        "2",
        "--hop",
        "0.5",
        "--dtype",
        "float32",
        "--json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["model"], found["labels"], found["sources"], found["hop_seconds"]) == ("starter", 3, 2, 0.5)
    assert found["tower_ms"] > 0
    assert found["spectrogram_ms"] > 0
    assert found["real_time_factor"] > 0
    assert found["streams"] >= 0
    assert 100 < found["memory_mb"] <= found["peak_mb"]
    assert {"float32", "int8"} <= found["dtypes_ms"].keys()
    assert found["recommended_dtype"] in found["dtypes_ms"].keys() - {"int8"}
    assert found["recommended_threads"] >= 1
    assert list(tmp_path.iterdir()) == []


def test_bench_measures_int8_when_asked_and_says_what_it_is(tmp_path):
    done = clap_monitor("bench", "--dtype", "int8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("starter on cpu in int8 (torch), ")
    assert " ms (less exact, never chosen automatically), float32 " in done.stdout
    assert ", model.dtype int8" not in done.stdout


def test_what_is_less_exact_is_not_recommended_however_fast():
    assert _dtype({"int8": 1.0, "float32": 10.0, "bfloat16": 9.0}) == "float32"
    assert _dtype({"int8": 1.0, "float32": 10.0, "bfloat16": 5.0}) == "bfloat16"


def test_bench_refuses_a_hop_that_leaves_audio_unheard(tmp_path):
    done = clap_monitor("bench", "--hop", "60", cwd=tmp_path)
    assert done.returncode == 78
    assert done.stderr.startswith("window.hop_seconds: 60 leaves audio unscored")
