import json
import re
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.detection.near_misses import MissReason
from monitor.detection.scorer import STAGE_SECONDS
from monitor.outputs.counters import Counters
from monitor.outputs.mqtt.event_sender import LATENCY_SECONDS
from monitor.outputs.prometheus import FAMILIES, PREFIX, Metrics
from monitor.system.histogram import Histogram
from monitor.types import Scores
from tests.support.events import event, label_of, near_miss
from tests.support.snapshots import offline, snapshot

ROOT = Path(__file__).parents[2]
UNITS = ("listeners", "_total", "_seconds", "_bytes", "_ratio", "_dbfs", "_info", "_messages", "_windows")
YES_OR_NO = {
    "up",
    "healthy",
    "armed",
    "source_up",
    "source_overloaded",
    "mqtt_connected",
    "config_last_reload_successful",
}
IN_0_TO_1 = {"calibration_auroc", "score", "threshold"}


def busy():
    """Return the tally of a monitor that has heard something."""
    counters = Counters()
    counters.on_event(event("dog", at=1_795_435_131.0), label_of("dog"))
    counters.on_event(event("gone"), label_of("dog"))
    counters.on_near_miss(near_miss("dog", reason=MissReason.COOLDOWN))
    counters.on_near_miss(near_miss("gone", reason=MissReason.COOLDOWN))
    counters.on_scores(
        Scores("porch", 0, 1, 0.0, ("dog",), np.array([0.25], dtype=np.float32), level_dbfs=-40.0)
    )
    return counters


def histograms():
    """Return those of a monitor that has heard something: of its stages, of latencies."""
    stages = {name: Histogram(STAGE_SECONDS) for name in ("gate", "embed", "score")}
    for seconds in (0.004, 0.03, 7.0):
        stages["embed"].observe(seconds)
    stages["score"].observe(0.001)
    latency = Histogram(LATENCY_SECONDS)
    latency.observe(0.7)
    return {"stages": stages, "latency": latency}


def text(told=None, counters=None):
    return Metrics(lambda: told or snapshot(), counters or busy(), **histograms()).text().decode()


def families(*arguments):
    return {family.name: family for family in text_string_to_metric_families(text(*arguments))}


def values(*arguments):
    """Return every sample of ours: name and labels to value."""
    found = {}
    for family in families(*arguments).values():
        for sample in family.samples:
            key = (sample.name.removeprefix(PREFIX), *sorted(sample.labels.items()))
            assert key not in found, f"{key} stands twice"
            found[key] = sample.value
    return found


def test_the_text_is_what_prometheus_reads_and_holds_every_family_with_its_help():
    read = families()
    for name, family in FAMILIES.items():
        known = read[PREFIX + name.removesuffix("_total")]
        assert known.documentation == family.help
        assert known.documentation.endswith(".")
        assert known.type in {"counter", "gauge", "histogram"}
        assert (known.type == "counter") == name.endswith("_total")


def test_every_family_has_samples_once_something_has_happened():
    told = snapshot(reload={"at": 1.0, "faults": []})
    sampled = {
        name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name, *_ in values(told)
    }
    assert set(FAMILIES) <= sampled


@pytest.mark.parametrize("name", FAMILIES)
def test_every_name_ends_in_its_unit(name):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert name.endswith(UNITS) or name in YES_OR_NO | IN_0_TO_1


def test_what_is_yes_or_no_is_1_or_0():
    for (name, *_), value in {**values(), **values(offline())}.items():
        if name in YES_OR_NO:
            assert value in {0, 1}


def test_counters_and_gauges_say_what_the_status_says():
    found = values()
    porch = ("source", "porch")
    assert found["capture_frames_total", porch] == 11_500.5 * 32_000
    assert found["capture_overflows_total", porch] == 1
    assert found["source_restarts_total", porch] == 2
    assert found["ring_dropped_seconds_total", ("reason", "lost"), porch] == 0.25
    assert found["ring_dropped_seconds_total", ("reason", "late"), porch] == 1.5
    assert found["windows_scored_total", porch] == 23_000
    assert found["windows_late_total", porch] == 3
    assert found["windows_gated_total", ("reason", "silence"), porch] == 30
    assert found["level_dbfs", porch] == -41.2
    assert ("level_dbfs", ("source", "crib")) not in found
    assert found["threshold", ("label", "dog"), ("source", "crib")] == 0.7
    assert found["score", ("label", "dog"), porch] == 0.25
    assert found["events_total", ("label", "dog"), porch] == 1
    assert found["events_total", ("label", "cat"), porch] == 0
    assert found["candidates_rejected_total", ("label", "dog"), ("reason", "cooldown")] == 1
    assert found["mqtt_published_total",] == 24
    assert found["clips_total", ("outcome", "speech")] == 2
    assert found["notifications_total", ("outcome", "held"), ("target", "phone")] == 5
    assert found["hook_runs_total", ("hook", "siren"), ("outcome", "killed")] == 1
    assert found["disk_free_bytes", ("directory", "state")] == 12_300_000_000


def test_commands_that_were_refused_or_lost_are_counted():
    found = values()
    assert found["commands_total", ("outcome", "refused")] == 3
    assert found["commands_total", ("outcome", "lost")] == 1


def test_histograms_are_cumulative_and_have_a_sum():
    found = values()
    assert found["inference_seconds_bucket", ("le", "0.005")] == 1
    assert found["inference_seconds_bucket", ("le", "0.05")] == 2
    assert found["inference_seconds_bucket", ("le", "+Inf")] == found["inference_seconds_count",] == 3
    assert found["inference_seconds_sum",] == pytest.approx(7.034)
    assert found["stage_seconds_count", ("stage", "score")] == 1
    assert found["alert_latency_seconds_bucket", ("le", "0.75")] == 1


def test_a_source_that_hears_nothing_is_down_and_the_monitor_not_healthy():
    found = values(offline())
    assert found["source_up", ("source", "crib")] == 0
    assert found["source_up", ("source", "porch")] == 1
    assert (found["healthy",], found["up",]) == (0, 1)


def test_a_refused_reload_shows():
    assert values(snapshot(reload={"at": 1.0, "faults": ["x"]}))["config_last_reload_successful",] == 0
    assert values(snapshot(reload={"at": 1.0, "faults": []}))["config_last_reload_successful",] == 1


def test_labels_are_identifiers_and_few_words_and_never_sentences_or_addresses():
    told = text()
    assert "a dog barking" not in told
    for family in families().values():
        for sample in family.samples:
            if family.name.startswith(PREFIX):
                assert all(re.fullmatch(r"[a-zA-Z0-9_.+-]*", value) for value in sample.labels.values())


def test_labels_that_are_gone_are_not_given_out():
    assert 'label="gone"' not in text()


def test_without_outputs_and_before_anything_was_heard_it_is_valid():
    bare = snapshot(mqtt=None, store=None, memory=None, clips=None, notify=[], hooks=[])
    assert families(bare, Counters()).keys() == families().keys()


def test_the_process_itself_is_in_it():
    assert values()["process_resident_memory_bytes",] > 1e6


GRAFANA = json.loads((ROOT / "config/grafana/clap-monitor.json").read_text())
KNOWN = {PREFIX + name for name, family in FAMILIES.items()}
KNOWN |= {
    name + ending for name in KNOWN if name.endswith("_seconds") for ending in ("_bucket", "_sum", "_count")
}


def expressions():
    for panel in GRAFANA["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (each["query"]["query"] for each in GRAFANA["templating"]["list"] if each["type"] == "query")


def test_the_dashboard_asks_only_for_metrics_that_there_are():
    asked = {name for expression in expressions() for name in re.findall(r"\bclap_monitor_\w+", expression)}
    assert asked <= KNOWN


def test_the_dashboard_shows_every_metric():
    asked = " ".join(expressions())
    assert [name for name in FAMILIES if f"{PREFIX}{name}" not in asked] == []


def test_the_dashboard_asks_for_labels_that_its_metrics_have():
    for expression in expressions():
        for name, chosen in re.findall(r"clap_monitor_(\w+?)(?:_bucket|_sum|_count)?\{([^}]*)\}", expression):
            known = {*FAMILIES[name].labels, "instance"}
            assert set(re.findall(r"(\w+)=~", chosen)) <= known, expression


def test_expressions_are_balanced_and_panels_are_what_grafana_needs():
    for expression in expressions():
        assert all(expression.count(a) == expression.count(b) for a, b in ("()", "{}", "[]"))
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time", "annotations"} <= GRAFANA.keys()
    ids = [panel["id"] for panel in GRAFANA["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in GRAFANA["panels"]:
        assert {"id", "title", "type", "gridPos"} <= panel.keys()
        if panel["type"] != "row":
            assert {"datasource", "fieldConfig", "options", "targets"} <= panel.keys()
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_no_two_panels_of_the_dashboard_lie_on_each_other():
    cells = set()
    for panel in GRAFANA["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for cell in (
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        ):
            assert cell not in cells, panel["title"]
            cells.add(cell)
