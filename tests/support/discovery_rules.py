"""Rules by which Home Assistant's core accepts a discovery message of a device.

From its `components/mqtt/schemas.py`, `event.py`, `device_trigger.py` and its documentation (2026.11).
What breaks one is dropped there with a line in the log, so it is refused here.
"""

import re

_ANY = {"p", "name", "unique_id", "default_entity_id", "obj_id", "ic", "ent_cat", "en", "avty", "avty_mode"}
_ANY |= {"json_attr_t", "json_attr_tpl", "stat_t", "val_tpl"}
KEYS = {
    "binary_sensor": _ANY | {"dev_cla", "pl_on", "pl_off", "exp_aft", "off_dly", "frc_upd"},
    "sensor": _ANY | {"dev_cla", "unit_of_meas", "stat_cla", "sug_dsp_prc", "exp_aft", "frc_upd", "ops"},
    "event": _ANY | {"dev_cla", "evt_typ"},
    "switch": _ANY | {"dev_cla", "cmd_t", "pl_on", "pl_off", "stat_on", "stat_off", "ret"},
    "number": _ANY | {"dev_cla", "cmd_t", "cmd_tpl", "min", "max", "step", "mode", "unit_of_meas", "ret"},
    "device_automation": {"p", "atype", "t", "type", "stype", "pl", "val_tpl", "qos"},
}
REQUIRED = {
    "binary_sensor": {"stat_t"},
    "sensor": {"stat_t"},
    "event": {"stat_t", "evt_typ"},
    "switch": {"cmd_t"},
    "number": {"cmd_t"},
    "device_automation": {"atype", "t", "type", "stype"},
}
_BINARY_CLASSES = {
    "battery", "battery_charging", "carbon_monoxide", "cold", "connectivity", "door", "garage_door",
    "gas", "heat", "light", "lock", "moisture", "motion", "moving", "occupancy", "opening", "plug",
    "power", "presence", "problem", "running", "safety", "smoke", "sound", "tamper", "update",
    "vibration", "window",
}  # fmt: skip
_UNITS = {"duration": {"s", "min", "h", "d", "ms", "µs"}, "sound_pressure": {"dB", "dBA"}, "timestamp": set()}
_IDENTIFIER = re.compile(r"[a-zA-Z0-9_-]+")


def check_discovery(topic, root):
    """Refuse a message that Home Assistant would not take, or of which it would drop a part."""
    found = re.fullmatch(r"[^+#]+/device/([a-zA-Z0-9_-]+)/config", topic)
    assert found, topic
    assert root["dev"].get("ids") or root["dev"].get("cns")
    assert root["o"]["name"]
    assert "cu" not in root["dev"] or re.match(r"(https?|homeassistant)://", root["dev"]["cu"])
    assert root["cmps"]
    _check_availability(root)
    for key, component in root["cmps"].items():
        assert _IDENTIFIER.fullmatch(key), key
        if component.keys() != {"p"}:  # what is being removed
            _check_component(component)
    ids = [component["unique_id"] for component in root["cmps"].values() if "unique_id" in component]
    assert len(ids) == len(set(ids))


def _check_component(component):
    platform = component["p"]
    assert component.keys() <= KEYS[platform], component.keys() - KEYS[platform]
    assert component.keys() >= REQUIRED[platform], component
    for key, value in component.items():
        if key == "t" or key.endswith("_t"):
            assert value, key
            assert not re.search(r"[+#\0]|^/|/$", value), value
    if platform == "device_automation":
        assert component["atype"] == "trigger"
        return
    assert component["unique_id"]
    assert component.get("default_entity_id", f"{platform}.").startswith(f"{platform}.")
    assert "name" not in component or component["name"] is None or 0 < len(component["name"]) <= 255
    assert component.get("ent_cat", "diagnostic") in {"diagnostic", "config"}
    assert re.fullmatch(r"mdi:[a-z0-9-]+", component.get("ic", "mdi:x"))
    # Home Assistant refuses a sensor of the category `config`: nothing can be set there.
    assert platform not in {"sensor", "binary_sensor"} or component.get("ent_cat") != "config"
    if "avty" in component:
        _check_availability(component)
    {
        "sensor": _check_sensor,
        "binary_sensor": _check_binary,
        "event": _check_event,
        "number": _check_number,
    }.get(platform, lambda _: None)(component)


def _check_availability(part):
    assert part["avty"]
    assert all(each["t"] for each in part["avty"])
    assert part.get("avty_mode", "latest") in {"all", "any", "latest"}


def _check_sensor(component):
    kind = component.get("dev_cla")
    assert kind is None or component.get("unit_of_meas", "") in _UNITS[kind]
    assert component.get("stat_cla", "measurement") in {"measurement", "total", "total_increasing"}
    assert "ops" not in component or kind == "enum"
    assert component.get("exp_aft", 0) >= 0


def _check_binary(component):
    assert component.get("dev_cla", "sound") in _BINARY_CLASSES


def _check_event(component):
    assert component["evt_typ"]
    assert len(component["evt_typ"]) == len(set(component["evt_typ"]))
    assert component.get("dev_cla", "motion") in {"button", "doorbell", "motion"}


def _check_number(component):
    assert component.get("min", 1) < component.get("max", 100)
    assert component.get("step", 1) >= 0.001
    assert component.get("mode", "auto") in {"auto", "box", "slider"}
