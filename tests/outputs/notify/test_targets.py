import contextlib
import threading

import pytest

from monitor.config import ClipsConfig, Config, LabelConfig, NotifyConfig
from monitor.outputs.clips import clip_path
from monitor.outputs.fan_out import FanOut
from monitor.outputs.notify.targets import notifiers_of
from monitor.system.threads import ThreadGroup
from tests.support.broker import PATIENCE, eventually
from tests.support.events import event
from tests.support.http_receiver import WebHook

DOG = LabelConfig(id="dog", prompts=("a dog barking",))


@contextlib.contextmanager
def running(config):
    """Run the notifiers of a configuration, as one output."""
    outputs = {each.name: each for each in notifiers_of(config)}
    fan_out, threads = FanOut(outputs, lambda event, _: event, {}), ThreadGroup(threading.Event())
    fan_out.start(threads)
    try:
        yield fan_out
    finally:
        fan_out.close()
        threads.join(PATIENCE)


@pytest.fixture
def web_hook(monkeypatch):
    with WebHook() as hook:
        monkeypatch.setenv("URL", hook.url())
        yield hook


def config(tmp_path, *, clips=None, **keys):
    return Config(
        notify=(NotifyConfig(name="phone", url_env="URL", **keys),),
        clips=clips or ClipsConfig(),
        labels=(DOG,),
        recordings=tmp_path,
    )


def test_the_clip_of_an_event_is_attached_in_the_format_it_has(tmp_path, web_hook):
    clips = ClipsConfig(enabled=True, format="opus")
    with running(config(tmp_path, clips=clips, clip=True)) as notifiers:
        notifiers.on_event(event("dog"), DOG)
        path = tmp_path / clip_path(event("dog"), ".opus")
        path.parent.mkdir()
        path.write_bytes(b"OggS")
        eventually(lambda: web_hook.letters, 60)
    assert [each["filename"] for each in web_hook.letters[0]["attachments"]] == [path.name]


@pytest.mark.parametrize(
    ("clips", "label"),
    [(ClipsConfig(), DOG), (ClipsConfig(enabled=True), DOG.model_copy(update={"clips": False}))],
)
def test_where_there_will_be_no_clip_none_is_waited_for(tmp_path, web_hook, clips, label):
    with running(config(tmp_path, clips=clips, clip=True)) as notifiers:
        notifiers.on_event(event("dog"), label)
        eventually(lambda: web_hook.letters, 60)
    assert web_hook.letters[0]["attachments"] == []


def test_a_source_that_hears_nothing_is_told_and_a_failing_command_is_not(tmp_path, web_hook):
    problems = [
        {"what": "hook siren", "why": "failed: exit code 3"},
        {"what": "crib", "why": "offline: device lost"},
    ]
    with running(config(tmp_path, health_after_seconds=0)) as notifiers:
        notifiers.on_health({}, lambda: {"problems": problems})
        eventually(lambda: web_hook.letters, 60)
    assert web_hook.titles == ["Trouble: crib"]
