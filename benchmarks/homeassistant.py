"""A real Home Assistant Core beside the broker and us: entities, restarts, late events, ghosts.

    python -m benchmarks.homeassistant --start COMMAND --config DIR [--port 8123] [--log FILE] [--only WORD]

COMMAND runs an installation that nobody else uses: its MQTT integration is set up anew, its automations are
written over.  DIR is its directory of configuration.  The broker is a mosquitto that this starts; ours is
`MqttPublisher` itself, in this process, as the daemon runs it.  Exit 1 if something is not as it should be.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from benchmarks.homeassistant_bench import ALARM, CRY, EVENTS, SENSOR, UNUSUAL, Bench, fresh
from benchmarks.homeassistant_core import HomeAssistant, eventually
from monitor.config import LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.commands import Arm, SetThreshold
from monitor.types import EndReason

LARGEST = 100_000
"""Bytes of a message that every broker takes."""

ROOT = Path(__file__).parents[1]


def entities(bench: Bench) -> None:
    """Identifiers, device, commands."""
    ids = {each["entity_id"] for each in bench.home.entities()}
    wanted = {
        SENSOR, EVENTS, "sensor.home_nursery_level", "switch.home_armed",
        "sensor.home_nursery_last_sound",
        "number.home_nursery_smoke_alarm_threshold", "sensor.home_nursery_smoke_alarm_score",
        "binary_sensor.home_nursery_offline", "binary_sensor.home_nursery_overloaded",
        "sensor.home_nursery_dropped_audio", "binary_sensor.home_late_events",
    }  # fmt: skip
    bench.report(
        "entity ids are those of the documentation", good=wanted <= ids, more=sorted(wanted - ids) or len(ids)
    )
    (device,) = bench.home.devices()
    bench.report("the device links to the page", good=device["configuration_url"] == "http://127.0.0.1:8095/")
    off = {"entity_id": "switch.home_armed"}
    bench.home.post("/api/services/switch/turn_off", off)
    number = {"entity_id": "number.home_nursery_smoke_alarm_threshold", "value": 0.8}
    bench.home.post("/api/services/number/set_value", number)
    wanted_commands = [Arm(armed=False), SetThreshold("nursery", "smoke_alarm", 0.8)]
    good = eventually(lambda: bench.commands == wanted_commands, 20)
    bench.report("commands arrive", good=good, more=bench.commands)


def restarts(bench: Bench) -> None:
    """All orders, with what the broker retained and without."""
    for erased in (False, True):
        for order in itertools.permutations(("broker", "monitor", "home")):
            bench.sounds()
            for who in order:
                if who == "broker":
                    bench.restart_broker(erased=erased)
                elif who == "monitor":
                    bench.stop_monitor()
                    bench.start_monitor()
                    bench.sounds()
                else:
                    bench.home.stop()
                    bench.home.start()
            good = all(
                bench.becomes(entity, state)
                for entity, state in (
                    (SENSOR, "on"),
                    ("binary_sensor.home_nursery_baby_cry", "off"),
                    ("switch.home_armed", "on"),
                    ("number.home_nursery_smoke_alarm_threshold", "0.5"),
                )
            )
            memory = "erased" if erased else "kept"
            bench.report(f"{', '.join(order)}; memory {memory}: states are true", good=good)


def late_events(bench: Bench) -> None:
    """The broker is away for a while, then for longer than Home Assistant's patience."""
    for away in (1.0, 15.0):
        for erased in (False, True):
            bench.broker.stop()
            event = bench.sounds()
            bench.falls_silent(event)
            for file in bench.directory.glob("mosquitto.db") if erased else ():
                file.unlink()
            time.sleep(away)
            bench.broker.start()
            began = time.monotonic()
            eventually(lambda event=event: bench.phases(event) == ["start", "end"], 60)  # type: ignore[misc]
            took = f"{bench.phases(event)}, {time.monotonic() - began:.0f} s after the broker"
            time.sleep(5)  # nothing may come twice
            good = bench.phases(event) == ["start", "end"]
            memory = "erased" if erased else "kept"
            bench.report(f"a late event, broker away for {away:.0f} s, memory {memory}", good=good, more=took)
    event = bench.sounds()
    bench.labels = (CRY,)
    assert bench.mqtt is not None
    bench.falls_silent(event, EndReason.DISABLED)
    bench.mqtt.on_labels(ActiveLabels(bench.labels, bench.sources), {})
    good = eventually(lambda: bench.phases(event) == ["start", "end"], 20)
    bench.report("a label removed while it sounds: its end arrives", good=good, more=bench.phases(event))


def ghosts(bench: Bench) -> None:
    """What goes while Home Assistant runs, and while it does not."""

    def less_label() -> None:
        bench.labels = (CRY,)

    def less_source() -> None:
        bench.sources = ("nursery",)

    def rename() -> None:
        bench.node = "house"

    def no_discovery() -> None:
        bench.discovery = False

    cases: list[tuple[str, Callable[[], None], Callable[[str], bool]]] = [
        ("a label", less_label, lambda unique: "smoke_alarm" in unique),
        ("a source", less_source, lambda unique: "_garden_" in unique),
        ("the node's name", rename, lambda unique: unique.startswith("clap_monitor_home_")),
        ("discovery", no_discovery, lambda _unique: True),
    ]
    for name, change, is_gone in cases:
        for running in (True, False):
            with fresh(bench):
                bench.stop_monitor()
                bench.sources = ("nursery", "garden")
                bench.start_monitor()
                assert eventually(lambda: len(bench.home.entities()) == 2 + 2 * (7 + 2 * 3), 30)
                time.sleep(6)
                bench.stop_monitor()
                change()
                if not running:
                    bench.home.stop()
                bench.start_monitor()
                time.sleep(8)
                if not running:
                    bench.home.start()

                def left(is_gone: Callable[[str], bool] = is_gone) -> list[str]:
                    # Home Assistant of 2024 does not let go of an entity that is disabled, as scores are.
                    lets_go = bench.home.version >= "2026"
                    entries = [e for e in bench.home.entities() if is_gone(e["unique_id"])]
                    return [e["entity_id"] for e in entries if lets_go or not e["disabled_by"]]

                good = eventually(lambda left=left: not left(), 40)  # type: ignore[misc]
                kept = bench.discovery is False or len(bench.home.entities()) > 0
                how = "running" if running else "down"
                bench.report(
                    f"{name} goes while Home Assistant is {how}: no ghost", good=good and kept, more=left()
                )


def large(bench: Bench) -> None:
    """From a small house to one of 16 sources with 40 labels, and back."""
    labels = tuple(
        LabelConfig(
            id=f"label_{number:02d}_{'x' * 23}", name=f"{number:02d} {'ä' * 297}", prompts=("a sound",)
        )
        for number in range(40)
    )
    sources = ("nursery", *(f"source_{number:02d}_{'y' * 22}" for number in range(15)))
    per_source = 7 + 40 * 3
    bench.stop_monitor()
    bench.labels, bench.sources = (ALARM, CRY, *labels[:38]), sources
    bench.start_monitor()
    began = time.monotonic()
    good = eventually(lambda: len(bench.home.entities()) == 2 + 16 * per_source, 180)
    more = f"{len(bench.home.entities())} after {time.monotonic() - began:.0f} s"
    bench.report("16 sources with 40 labels of the longest names: every entity", good=good, more=more)
    time.sleep(8)
    bench.home.wait_until_quiet()  # its birth message comes once it has seen to all descriptions
    kept = {t: x for t, x in bench.broker.retained().items() if t.startswith("homeassistant/device/")}
    largest = max(len(text.encode()) for text in kept.values())
    bench.report(
        "no description passes 100 kB", good=largest < LARGEST, more=f"{len(kept)}, largest {largest}"
    )
    bench.stop_monitor()
    bench.labels, bench.sources = (ALARM, CRY), ("nursery",)
    bench.start_monitor()

    def left_over() -> int:
        # Home Assistant of 2024 does not let go of an entity that is disabled, as scores are.
        every = bench.home.version >= "2026"
        return len([e for e in bench.home.entities() if every or not e["disabled_by"]]) + (0 if every else 2)

    eventually(lambda: left_over() == 2 + 7 + 2 * 3, 180)
    time.sleep(8)
    bench.home.wait_until_quiet()
    bench.report("and back to one with 2: no ghost", good=left_over() == 2 + 7 + 2 * 3, more=left_over())
    left = [topic for topic in bench.broker.retained() if topic.startswith("homeassistant/device/")]
    bench.report("no description is left at the broker", good=len(left) == 1, more=left)


def split(bench: Bench) -> None:
    """A house that an earlier version described in one message: what people have set stays."""
    names = {f"label_{number:02d}": f"{number:02d} {'n' * 290}" for number in range(40)}
    bench.stop_monitor()
    short = tuple(LabelConfig(id=each, prompts=("a sound",)) for each in names)
    bench.labels = (*short, ALARM, CRY)
    bench.start_monitor()
    assert eventually(lambda: len(bench.home.entities()) == 2 + 7 + 42 * 3, 60)
    mine = {"entity_id": SENSOR, "name": "My own name", "new_entity_id": "binary_sensor.mine"}
    bench.home.ask(type="config/entity_registry/update", **mine)
    time.sleep(8)
    bench.stop_monitor()
    bench.labels = (*(replace_name(label, names[label.id]) for label in short), ALARM, CRY)
    bench.start_monitor()
    time.sleep(10)
    good = bench.becomes("binary_sensor.mine", "off", 60)
    kept = {t: x for t, x in bench.broker.retained().items() if t.startswith("homeassistant/device/")}
    entry = next((e for e in bench.home.entities() if e["entity_id"] == "binary_sensor.mine"), {})
    good = good and entry.get("name") == "My own name" and len(kept) > 1
    more = [len(text.encode()) for text in kept.values()]
    bench.report(
        "longer names split the description: own name and id of an entity stay", good=good, more=more
    )
    count = len(bench.home.entities())
    bench.report("and every entity is there", good=count == 2 + 7 + 42 * 3, more=count)


def replace_name(label: LabelConfig, name: str) -> LabelConfig:
    """Return a label with another name."""
    return label.model_copy(update={"name": name})


def install_automations(bench: Bench) -> None:
    """Give Home Assistant the blueprint in its three ways, and the documented automations."""
    place = bench.home.config / "blueprints" / "automation" / "clap_monitor"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "config" / "homeassistant" / "sound_heard.yaml", place)
    (device,) = bench.home.devices()
    triggers = bench.home.ask(type="device_automation/trigger/list", device_id=device["id"])
    mine = [t for t in triggers if t["domain"] == "mqtt" and "smoke_alarm" in t["subtype"]]
    ways: dict[str, dict[str, object]] = {
        "sound": {"sound": SENSOR},
        "events": {"events": EVENTS, "types": ["smoke_alarm"]},
        "device": {"triggers": [{k: v for k, v in t.items() if k != "metadata"} for t in mine]},
    }
    automations: list[dict[str, object]] = [
        {"id": way, "alias": way, "use_blueprint": {"path": "clap_monitor/sound_heard.yaml", "input": filled}}
        for way, filled in ways.items()
    ]
    documented = ("smoke", "surely", "lamp", "gone")
    for way, automation in zip(documented, documented_automations(), strict=True):
        automations.append({**automation, "id": way, "alias": way})
    for written in ([], automations):  # one that did not change would stay as an earlier run has left it
        (bench.home.config / "automations.yaml").write_text(json.dumps(written))
        bench.home.post("/api/services/automation/reload", {})
    assert eventually(lambda: bench.home.state("automation.device") == "on", 30), "the blueprint is refused"
    time.sleep(5)  # until Home Assistant has subscribed to the device trigger
    for name in (*ways, *documented):
        assert bench.home.state(f"automation.{name}") == "on", f"{name} is refused"


def blueprint(bench: Bench) -> None:
    """Each fires once for a sound, and never for a restart."""
    install_automations(bench)
    ways = ("sound", "events", "device")
    counted = [*ways, "smoke", "surely"]

    def fired(way: str) -> int:
        own = bench.home.seen(f"automation.{way}")
        return len({c["attributes"]["last_triggered"] for c in own if c["attributes"].get("last_triggered")})

    def check(name: str, wanted: dict[str, int], before: dict[str, int]) -> None:
        wanted = {**wanted, "smoke": wanted["sound"], "surely": wanted["events"]}
        eventually(lambda: all(fired(way) - before[way] == wanted[way] for way in counted), 40)
        time.sleep(4)
        counts = {way: fired(way) - before[way] for way in counted}
        bench.report(
            f"the blueprint and the documented automations: {name}", good=counts == wanted, more=counts
        )

    def so_far() -> dict[str, int]:
        return {way: fired(way) for way in counted}

    before = so_far()
    event = bench.sounds()
    check("an alarm begins", {"sound": 1, "events": 1, "device": 1}, before)
    before = so_far()
    bench.restart_broker(erased=False)
    time.sleep(25)
    check("the broker restarts while it sounds", dict.fromkeys(ways, 0), before)
    bench.home.stop()
    bench.home.changes.clear()
    bench.home.start()
    before = so_far()
    time.sleep(20)
    check("Home Assistant restarts while it sounds", dict.fromkeys(ways, 0), before)
    bench.falls_silent(event)
    assert bench.becomes(SENSOR, "off")
    before = so_far()
    for erased in (False, True):
        bench.restart_broker(erased=erased)
        time.sleep(20)
    bench.stop_monitor()
    time.sleep(2)
    bench.start_monitor()
    assert bench.becomes(SENSOR, "off")
    check("the broker restarts twice, then we do, in silence", dict.fromkeys(ways, 0), before)
    before = so_far()
    bench.broker.stop()
    assert bench.becomes(SENSOR, "unavailable")
    event = bench.sounds()
    bench.broker.start()
    check("an alarm begins while the broker is away", {"sound": 1, "events": 1, "device": 0}, before)


def unusual_sounds(bench: Bench) -> None:
    """The sensor of unusual sounds is there while they are reported, and only then."""
    sensor = "binary_sensor.home_nursery_unusual"
    bench.report("without unusual sounds there is no sensor", good=bench.home.state(sensor) is None)
    bench.stop_monitor()
    bench.unusual = bench.sources
    bench.start_monitor()
    bench.report("it appears, and is off", good=bench.becomes(sensor, "off"))
    begun = bench.sounds(UNUSUAL)
    good = bench.becomes(sensor, "on")
    bench.falls_silent(begun)
    bench.report("it is on while one lasts", good=good and bench.becomes(sensor, "off"))
    good = eventually(lambda: bench.phases(begun) == ["start", "end"], 20)
    bench.report("the event entity tells it", good=good, more=bench.phases(begun))
    bench.stop_monitor()
    bench.unusual = ()
    bench.start_monitor()
    bench.report("switched off, it is removed", good=bench.becomes(sensor, None))


def documented_automations() -> list[dict[str, object]]:
    """Return those of the documentation, for the entities here."""
    text = (ROOT / "docs" / "home-assistant.md").read_text()
    block = next(each for each in text.split("```yaml\n")[1:] if each.startswith("- alias:"))
    automations: list[dict[str, object]] = yaml.safe_load(
        block.split("```")[0].replace("_microphone_", "_nursery_")
    )
    return automations


CASES = {
    "entities": entities,
    "restarts": restarts,
    "late": late_events,
    "blueprint": blueprint,
    "large": large,
    "split": split,
    "unusual": unusual_sounds,
}


def main() -> None:
    """Parse, run every case, complain of what Home Assistant complains of."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start", required=True)
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--log", type=Path, default=Path("home-assistant.log"))
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    given.log.write_text("")
    home = HomeAssistant(given.start, given.config, given.port, given.log)
    with tempfile.TemporaryDirectory() as directory, home:
        bench = Bench(home, Path(directory))
        bench.broker.start()
        print(f"Home Assistant {home.version}\n\n| what | true | more |\n|---|---|---|", flush=True)
        try:
            for name, case in CASES.items():
                if given.only in name:
                    with fresh(bench):
                        case(bench)
            if given.only in "ghosts":
                ghosts(bench)
            complaints = home.complaints()
            bench.report(
                "no warning and no error about us in its log", good=not complaints, more=len(complaints)
            )
            print("\n".join(line[:300] for line in complaints[:20]))
        finally:
            bench.stop_monitor()
            bench.broker.kill()
    sys.exit(bench.failed > 0)


if __name__ == "__main__":
    main()
