"""Scripted Home Assistant: keeps discovery and states as its core does, over a real broker."""

import json

import jinja2

from tests.support.broker import Subscriber
from tests.support.discovery_rules import check_discovery


class HomeAssistant:
    """Entities, availability and states out of what a subscriber has received; a context manager."""

    def __init__(self, broker, prefix="homeassistant"):
        self._subscriber = Subscriber(broker)
        self._prefix = prefix

    def __enter__(self):
        self._subscriber.__enter__()
        self._subscriber._client.publish(f"{self._prefix}/status", "online", qos=1)
        return self

    def __exit__(self, *_):
        self._subscriber.__exit__()

    @property
    def components(self):
        """What there is: a component stays until it comes reduced to its platform, or the device goes."""
        known = {}
        for message in self._subscriber.messages():
            if message.topic.startswith(f"{self._prefix}/device/"):
                if not message.text:
                    known.clear()
                    continue
                root = json.loads(message.text)
                check_discovery(message.topic, root)
                shared = {"avty": root["avty"]}
                for key, component in root["cmps"].items():
                    if component.keys() == {"p"}:
                        known.pop(key, None)
                    else:
                        known[key] = shared | component
        return known

    def state(self, key):
        """State of a binary sensor: on, off, unknown, unavailable; None if it does not exist."""
        component = self.components.get(key)
        if component is None:
            return None
        if any(self._newest(at["t"]) != "online" for at in component["avty"]):
            return "unavailable"
        text = self._newest(component["stat_t"])
        if text is not None and "val_tpl" in component:
            text = jinja2.Template(component["val_tpl"]).render(value_json=json.loads(text))
        return {"ON": "on", "OFF": "off"}.get(text, "unknown")

    def settle(self):
        """Wait until it is connected and has received everything that there was."""
        self._subscriber.wait_until_back()
        self._subscriber.settle()

    def _newest(self, topic):
        return next(iter(self._subscriber.texts(topic)[-1:]), None)
