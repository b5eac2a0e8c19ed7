from monitor.outputs.mqtt.topics import Topics


def test_topics_are_those_of_the_conventions():
    topics = Topics("home/clap-monitor", "livingroom")
    assert topics.status() == "home/clap-monitor/livingroom/status"
    assert topics.source_status("mic0") == "home/clap-monitor/livingroom/mic0/status"
    assert topics.event("mic0") == "home/clap-monitor/livingroom/mic0/event"
    assert topics.state("mic0", "glass") == "home/clap-monitor/livingroom/mic0/event/glass/state"
    assert topics.attributes("mic0", "glass") == "home/clap-monitor/livingroom/mic0/event/glass/attributes"
    assert topics.level("mic0") == "home/clap-monitor/livingroom/mic0/level"
