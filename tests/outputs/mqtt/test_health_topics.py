import json

from monitor.audio.source_status import Health
from monitor.outputs.mqtt.health_topics import HealthTopics
from monitor.outputs.mqtt.topics import Topics
from monitor.types import OfflineReason


def test_a_warning_is_published_once_when_a_problem_starts_and_when_it_ends_and_is_not_retained():
    published = []

    def publish(topic, text, *, qos, retain=False):
        del qos
        published.append((topic.rpartition("/")[2], text, retain))

    health_topics = HealthTopics(Topics("home", "attic"), ["mic0"], publish)
    for health in (
        Health(),
        Health(offline_reason=OfflineReason.LOST, offline_text="unplugged"),
        Health(offline_reason=OfflineReason.NOT_OPENED, offline_text="busy"),
        Health(overloaded=True, dropped_seconds=0.5),
        Health(overloaded=True, dropped_seconds=1.0),
        Health(dropped_seconds=1.0),
    ):
        health_topics.set("mic0", health)
    health_topics.publish_changes()
    health_topics.publish_changes()
    warnings = [json.loads(text) for topic, text, retain in published if topic == "warning" and not retain]
    assert [(each["warning"], each["phase"], each["text"]) for each in warnings] == [
        ("offline", "start", "unplugged"),
        ("offline", "end", None),
        ("overloaded", "start", "windows are left out: the model is slower than the hop"),
        ("overloaded", "end", None),
    ]
    assert (warnings[2]["node"], warnings[2]["source"], warnings[3]["dropped_seconds"]) == (
        "attic",
        "mic0",
        1.0,
    )
    assert len([topic for topic, _, retain in published if topic == "health" and retain]) == 2
