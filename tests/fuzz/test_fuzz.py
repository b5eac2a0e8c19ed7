"""Whatever comes in - samples, configurations - nothing crashes, nothing hangs, and the reason is clear."""

import io
import itertools
import json
import random
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paho.mqtt import publish

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.pcm import WIDTH, open_pcm
from monitor.audio.sources.source_context import SourceContext
from monitor.audio.windows import Windows
from monitor.config import Config, LabelConfig, SourceConfig, example, load
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.engine import load_engine
from monitor.detection.events import Detector
from monitor.detection.pipeline import run_analysis, run_capture
from monitor.detection.rules import rule_of
from monitor.detection.scorer import Scorer
from monitor.types import ConfigError
from tests.support.broker import Broker, eventually
from tests.support.command_line import ROOT, clap_monitor
from tests.support.monitor_in_process import RunningMonitor

SLOW = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
FAST = settings(SLOW, max_examples=200)

LABEL = LabelConfig(id="dog", prompts=("a dog barking",))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    place = tmp_path_factory.mktemp("fuzz")
    return load_engine(Config(labels=(LABEL,), state=place / "state", recordings=place / "recordings"))


def hear(engine, data, format_, rate):
    """Send raw bytes through the whole flow; return the status, scores and events."""
    status, scores, events = SourceStatus("in"), [], []
    buffer = RingBuffer(60 * engine.rate, engine.rate, lossless=True)
    stop = threading.Event()
    config = SourceConfig.model_construct(name="in", kind="pcm", rate=rate, format=format_, pace="fast")
    blocks = open_pcm(config, SourceContext(engine.rate, status, stop), io.BytesIO(data))
    thread = threading.Thread(target=run_capture, args=(blocks, buffer, status))
    thread.start()
    scorer = Scorer(engine, ActiveLabels(labels=(LABEL,), sources=("in",)), {"in": status})
    windows = Windows({"in": buffer}, {"in": status}, length=engine.length, hop=engine.hop, stop=stop)
    rules = [rule_of(LABEL, rate=engine.rate, hop=engine.hop)]
    run_analysis(windows, scorer, Detector(rules), on_scores=scores.append, on_event=events.append)
    thread.join()
    return status, scores, events


def in_order(engine, status, scores, events):
    assert status.captured == 0 or len(scores) == max(0, (status.captured - engine.length) // engine.hop + 1)
    assert status.scored + sum(status.gated.values()) == len(scores)
    for each in scores:
        assert np.isfinite(each.values).all()
        assert ((each.values >= 0) & (each.values <= 1)).all()
        assert not np.isnan(each.level_dbfs)
    assert sum(event.stop is None for event in events) == sum(event.stop is not None for event in events)


WORDS = st.one_of(
    st.binary(min_size=1, max_size=64),
    st.sampled_from(
        [
            np.float32(value).tobytes()
            for value in (np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e19, 1e-45, 0.0, 1.0, -1.0, 2.0)
        ]
    ),
)


@SLOW
@given(
    parts=st.lists(st.tuples(WORDS, st.integers(1, 60_000)), min_size=1, max_size=6),
    format_=st.sampled_from(sorted(WIDTH)),
)
def test_any_bytes_as_samples_are_scored_or_gated_and_always_accounted_for(engine, parts, format_):
    data = b"".join(word * count for word, count in parts)[:1_000_000] + bytes(WIDTH[format_])
    in_order(engine, *hear(engine, data, format_, 32_000))


@pytest.mark.parametrize("format_", sorted(WIDTH))
def test_noise_out_of_random_bytes_is_heard_in_every_format(engine, format_):
    data = np.random.default_rng(1).bytes(WIDTH[format_] * 32_000 * 5)
    status, scores, events = hear(engine, data, format_, 32_000)
    in_order(engine, status, scores, events)
    assert len(scores) > 1


def test_random_bytes_through_the_whole_program_end_well(tmp_path):
    data = np.random.default_rng(2).bytes(4 * 48_000 * 4)
    done = clap_monitor(
        "run", "--source", "-", "--rate", "48000", "--format", "f32le", "--label", "a dog barking", "--fast",
        cwd=tmp_path, stdin=data,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


TEXTS = [example(), (ROOT / "config/demo.yaml").read_text()]
LINES = [line for text in TEXTS for line in text.splitlines(keepends=True)]
BITS = st.one_of(
    st.sampled_from(LINES),
    st.sampled_from(
        [*"[]{}'\"|>%#~\t\\\0\ufeff\u2028", "&a ", "*a", "<<: *a", "- ", ": ", "---\n", "...\n", "9" * 400,
         "-1e999", ".nan", "0x1F", "!!python/object/apply:os.system [id]"]
    ),
    st.text(max_size=8),
)  # fmt: skip
CHANGES = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(0, 60), BITS), min_size=1, max_size=5
)  # where, how much is cut out there, and what is put in its place


def plainly(path):
    """Load it, or be told in one line for each fault where it is; and nothing else."""
    try:
        load(path)
    except ConfigError as error:
        for line in str(error).split("\n"):
            assert line.startswith(f"{path}:")
            assert line.isprintable()


@FAST
@given(text=st.sampled_from(TEXTS), changes=CHANGES)
def test_a_configuration_that_is_changed_anywhere_is_good_or_refused_in_plain_lines(
    tmp_path_factory, text, changes
):
    for where, cut, bit in changes:
        at = where % (len(text) + 1)
        text = text[:at] + bit + text[at + cut :]
    path = tmp_path_factory.getbasetemp() / "changed.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    plainly(path)


@FAST
@given(
    text=st.sampled_from(TEXTS),
    changes=st.lists(st.tuples(st.integers(0, 20_000), st.binary(max_size=4)), max_size=5),
)
def test_a_configuration_with_stray_bytes_is_good_or_refused_in_plain_lines(tmp_path_factory, text, changes):
    content = text.encode()
    for where, stray in changes:
        at = where % (len(content) + 1)
        content = content[:at] + stray + content[at + len(stray) :]
    path = tmp_path_factory.getbasetemp() / "stray.yaml"
    path.write_bytes(content)
    plainly(path)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BOMB.encode(), "more than"),
        (b"labels: " + b"[" * 100_000, "deep"),
        (b"labels: " + b"{a: " * 50_000, "deep"),
        (b"- " * 100_000, "deep"),
        (b"a: &a [*a]\n", "the alias (*) has no anchor"),
        (b"node: home\n" * 30_000, "larger than 256 KiB"),
        (b"x" * 10_000_000, "larger than 256 KiB"),
        (b"\x7fELF\x02\x01\x01" + bytes(200), ""),
        (b"\xff\xfe" + "node: home\n".encode("utf-16-le"), "not UTF-8"),
        ("node: k\u00fcche\n".encode("latin-1"), "0xfc is not UTF-8"),
        (b"node: !!python/object/apply:os.system ['touch /tmp/owned']\n", "tag"),
        (b"".join(b"k%d: 1\n" % i for i in range(3000)), "unknown key"),
        (b"node: " + b"9" * 200_000, "is a number, not text"),
    ],
    ids=[
        "bomb", "lists", "maps", "dashes", "itself", "repeated", "huge", "binary", "utf-16", "latin-1",
        "python", "keys", "digits",
    ],
)  # fmt: skip
def test_a_malicious_configuration_is_refused_by_the_program_with_exit_code_78(tmp_path, content, words):
    (tmp_path / "evil.yaml").write_bytes(content)
    done = clap_monitor("check", "evil.yaml", cwd=tmp_path)
    assert done.returncode == 78
    assert "Traceback" not in done.stderr
    assert words in done.stdout + done.stderr
    assert max(map(len, (done.stdout + done.stderr).splitlines())) < 1000


NASTY = (
    b"", b"\x00", b"\xff\xfe\x00", b"ON\n", b"on", b"nan", b"inf", b"-1", b"1e309", b"0x1",
    b"0." + b"9" * 10_000,
    b"null", b"[]", b"{}", b"[" * 10_000, b'{"id": "' + b"a" * 10_000 + b'"}',
    b'{"id": "dog", "threshold": NaN}',
    b'{"id": "../../etc/passwd", "prompts": ["x"]}', b'{"id": "dog"',
    b'{"id": "dog", "id": "dog", "prompts": 3}',
    b'{"id": "dog", "prompts": []}', b'{"id": "dog", "threshold": 1e999}', b"{{ 7 * 7 }}",
    b"'; DROP TABLE events",
    "\u202e\U0001f415".encode(), b"x" * 1_000_000,
)  # fmt: skip


@pytest.mark.broker
def test_random_bytes_on_every_command_topic_are_refused_with_a_reason(tmp_path):
    source = SourceConfig(name="demo", kind="file", path=ROOT / "recordings/demo.flac")
    node = "clap-monitor/home"
    topics = [
        f"{node}/armed/set",
        f"{node}/labels/set",
        f"{node}/demo/threshold/dog/set",
        f"{node}/demo/threshold/nothing/set",
        f"{node}/nowhere/threshold/dog/set",
    ]
    chance = random.Random(6)
    contents = [*NASTY, *(chance.randbytes(chance.randrange(300)) for _ in range(100))]
    with Broker(tmp_path) as broker, RunningMonitor(broker, tmp_path, source) as house:
        house.until("demo", "online")
        house.until_scored("demo")
        thresholds = house.subscriber.wait_for(f"{node}/demo/threshold/dog")
        messages = [(topic, content, 1, False) for content in contents for topic in topics]
        publish.multiple([*messages, (topics[0], b"\xff", 1, True)], hostname=broker.host, port=broker.port)
        publish.single(topics[2], "0.25", qos=1, hostname=broker.host, port=broker.port)
        # What is said after all of it is done: it was neither in the way of it nor is anything left over.
        eventually(lambda: house.subscriber.texts(f"{node}/demo/threshold/dog")[-1] == "0.25")
        house.until_scored("demo", windows=2)
        assert house.subscriber.texts(f"{node}/demo/threshold/dog") == [*thresholds, "0.25"]
        assert house.subscriber.texts(f"{node}/armed/state")[-1] == "ON"
        refusals = [json.loads(text) for text in house.subscriber.texts(f"{node}/refused")]
        many = f"{node}/refused"  # tells how many were too many to be told one by one
        assert {refusal["topic"] for refusal in refusals} - {many} == set(topics)
        for refusal in refusals:
            assert refusal["reason"]
            assert len(refusal["reason"]) < 500
            assert refusal["reason"].isprintable()


@pytest.mark.broker
def test_one_evil_message_a_burst_and_a_flood_leave_the_program_as_it_should_be(tmp_path):
    names, labels = ("porch", "hall"), [f"l{number}" for number in range(65)]
    every = list(itertools.product(names, labels))
    sources = [SourceConfig(name=name, kind="file", path=ROOT / "recordings/demo.flac") for name in names]
    (tmp_path / "state").mkdir()
    changes = {label: {"prompts": [f"sound number {label[1:]}"]} for label in labels}
    (tmp_path / "state/overrides.json").write_text(
        json.dumps({"armed": True, "labels": changes, "thresholds": {}})
    )
    node = "clap-monitor/home"
    with Broker(tmp_path) as broker, RunningMonitor(broker, tmp_path, *sources) as house:
        house.until(names[-1], "online")

        def say(*messages):
            said = [(f"{node}/{topic}", content, 1, False) for topic, content in messages]
            publish.multiple(said, hostname=broker.host, port=broker.port)

        say(*[("labels/set", '{"\\ud800": ""}')] * 10)
        say(*[
            (f"{name}/threshold/{label}/set", value) for value in ("0.1", "0.95") for name, label in every
        ])  # fmt: skip
        control = house.daemon.parts.control
        eventually(lambda: {control.active_labels.label(*each).threshold for each in every} == {0.95})
        say(*[("porch/threshold/l0/set", "x"), ("labels/set", "no label")] * 500, ("armed/set", "OFF"))
        house.subscriber.wait_for(f"{node}/armed/state", "OFF")
        eventually(lambda: house.daemon.parts.snapshot()["commands"]["refused"] == 1010)
        counts = house.daemon.parts.snapshot()["commands"]
        assert counts["lost"] == 0
        assert counts["done"] + counts["replaced"] == 2 * len(every) + 1
        assert house.daemon.parts.mqtt.status.connected
