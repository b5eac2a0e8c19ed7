"""Faults in a file: each is one line, in plain words, at the right place, and all come at once."""

import os
import re
import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import Config, load
from monitor.config.errors import key_path
from monitor.config.section import MOST_SOURCES
from monitor.types import ConfigError

LABEL = "labels:\n- id: dog\n  prompts: [a dog barking]\n"


def faults(tmp_path, text):
    """Lines of the complaint about a file, without its directory."""
    path = tmp_path / "monitor.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value).replace(f"{tmp_path}{os.sep}", "").splitlines()


def accepted(tmp_path, text):
    path = tmp_path / "monitor.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_one_monitor_takes_256_sources_and_says_so_of_more(tmp_path):
    sources = "".join(f"- {{name: s{n}, kind: stream, url: 'rtsp://camera/{n}'}}\n" for n in range(257))
    (line,) = faults(tmp_path, f"sources:\n{sources}")
    assert line.startswith("monitor.yaml:1: sources: ")
    assert "256" in line
    fewer = sources.rsplit("-", 1)[0]
    assert len(accepted(tmp_path, f"sources:\n{fewer}").sources) == MOST_SOURCES


def test_the_fault_of_the_issue_reads_as_the_issue_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    label = "- id: {}\n  prompts:\n  - a dog barking\n  threshold: {}\n"
    labels = "".join(label.format(*each) for each in (("a", 0.1), ("b", 0.2), ("c", 1.4)))
    (tmp_path / "config" / "monitor.yaml").write_text(f"node: home\nlabels:\n{labels}")
    with pytest.raises(ConfigError) as caught:
        load("config/monitor.yaml")
    assert str(caught.value) == "config/monitor.yaml:14: labels[2].threshold: 1.4 is not in [0, 1]"
    assert caught.value.exit_code == 78


def test_all_faults_come_at_once_in_the_order_of_the_lines(tmp_path):
    assert faults(
        tmp_path,
        """\
node: Living Room
log_levl: info
model:
  threads: 0
  threads: 2
sources:
- {name: a, kind: file}
- {name: a, kind: pcm}
- {name: b, kind: pcm, rate: 16000, device: USB}
labels:
- id: dog
  prompts: []
- id: dog
  prompts: [a dog barking]
  threshold: high
- prompts: [a cat meowing]
  release_threshold: 0.9
  min_duration_seconds: 400
mqtt:
  password: hunter2
  qos: true
""",
    ) == [
        (
            'monitor.yaml:1: node: "Living Room" is not an identifier of 1 to 32 letters a-z, digits, '
            "_ and -, "
            "the first a letter or a digit; write living_room"
        ),
        "monitor.yaml:2: log_levl: unknown key; did you mean log_level?",
        "monitor.yaml:4: model.threads: 0 is not in [1, 64]",
        "monitor.yaml:5: model.threads: is a duplicate of line 4; keep one",
        "monitor.yaml:7: sources[0].path: is missing; a source of kind file needs it",
        'monitor.yaml:8: sources[1].name: "a" is already the name of sources[0]; choose another',
        "monitor.yaml:8: sources[1].rate: is missing; a source of kind pcm needs it",
        "monitor.yaml:9: sources[2].kind: sources[1] already reads standard input; only one source can",
        (
            "monitor.yaml:9: sources[2].device: does not belong to kind pcm, whose own keys are "
            "rate, format, channels, channel"
        ),
        (
            "monitor.yaml:12: labels[0].prompts: is empty; give at least one, or teach the sound with "
            "`clap-monitor learn`"
        ),
        'monitor.yaml:13: labels[1].id: "dog" is already the id of labels[0]; choose another',
        'monitor.yaml:15: labels[1].threshold: "high" is not a number',
        "monitor.yaml:16: labels[2].id: is missing: identifier of the label, also in MQTT topics",
        (
            "monitor.yaml:16: labels[2].max_duration_seconds: 300 is below min_duration_seconds (400); "
            "no event could be reported"
        ),
        (
            "monitor.yaml:17: labels[2].release_threshold: 0.9 is above threshold (0.5); an event "
            "would end as soon as it starts"
        ),
        (
            "monitor.yaml:20: mqtt.password: a password is never written here; put it in a file and "
            "name that as "
            "mqtt.password_file, or in an environment variable and name that as mqtt.password_env"
        ),
        "monitor.yaml:21: mqtt.qos: true is not one of 0, 1, 2",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # kinds of values: nothing is taken for something else
        ('model:\n  threads: "2"', '2: model.threads: "2" is text, not a whole number; remove the quotes'),
        ("model:\n  threads: 2.5", "2: model.threads: 2.5 is not a whole number"),
        ("model:\n  threads: true", "2: model.threads: true is not a whole number"),
        ("model:\n  threads: [1]", "2: model.threads: a list is not a whole number"),
        ("mqtt:\n  port: 01883", '2: mqtt.port: "01883" is not a whole number'),
        ("mqtt:\n  tls: 1", "2: mqtt.tls: 1 is not true or false"),
        ("mqtt:\n  tls: 'yes'", '2: mqtt.tls: "yes" is text, not true or false; remove the quotes'),
        ("mqtt:\n  qos: 3", "2: mqtt.qos: 3 is not one of 0, 1, 2"),
        ("mqtt:\n  qos: 1.0", "2: mqtt.qos: 1.0 is not one of 0, 1, 2"),
        ("node: no", '1: node: no is true or false, not text; put it in quotes: "no"'),
        ('mqtt:\n  host: "a\\nb"', '2: mqtt.host: "a?b" is not the name or the IP address of a broker'),
        ('node: "\\ud800"', None),
        ('"\\ud800": 1', None),
        ("mqtt:\n  host: [", None),
        ('background: ["\\ud800"]', None),
        ('state: "\\ud800"', None),
        ('mqtt:\n  username: me\n  password_file: "a\\ud800"', None),
        ("node: 7", '1: node: 7 is a number, not text; put it in quotes: "7"'),
        ("node:", "1: node: has no value; write one, or remove the key"),
        ("mqtt:", "1: mqtt: has no value; write one, or remove the key"),
        ("state: 3", '1: state: 3 is a number, not text; put it in quotes: "3"'),
        ("state: ''", '1: state: is empty; write a path, or "." for the working directory'),
        ("state: [a]", "1: state: a list is not text"),
        ("silence_dbfs: .nan", "1: silence_dbfs: .nan is not a finite number"),
        ("silence_dbfs: -.inf", "1: silence_dbfs: -.inf is not a finite number"),
        ("silence_dbfs: 1e999", "1: silence_dbfs: 1e999 is not a finite number"),
        ("silence_dbfs: 6", "1: silence_dbfs: 6 is not in [-200, 0]"),
        ("window:\n  seconds: 0", "2: window.seconds: 0 is not in [0.1, 60]"),
        ("window:\n  hop_seconds: 0", "2: window.hop_seconds: 0 is not in [0.01, 60]"),
        (
            "window:\n  seconds: 0.5\n  hop_seconds: 1",
            "3: window.hop_seconds: 1 is more than seconds (0.5); the audio between windows would be skipped",
        ),
        (
            "background: people talking",
            (
                '1: background: "people talking" is text, not a list; '
                'write ["people talking"], or one per line after a dash (-)'
            ),
        ),
        (
            "background: [alarm: beeping]",
            ("1: background[0]: is a mapping, not text; put text that contains a colon in quotes"),
        ),
        ("background: ['']", "1: background[0]: is empty; write something, or remove the key"),
        ("background: ['  ']", "1: background[0]: is empty; write something, or remove the key"),
        (f"background: [{'a' * 301}]", "1: background[0]: is 301 characters long; the maximum is 300"),
        (f"background: [{'a, ' * 101}]", "1: background: has 101 entries; the maximum is 100"),
        ("labels: []", "1: labels: is empty; give at least one"),
        ("sources: []", "1: sources: is empty; give at least one"),
        ("labels: [dog]", None),
        ("mqtt: mqtt://me:hunter2@broker", None),
        # choices and names
        (
            "log_level: Warning",
            ('1: log_level: "Warning" is not one of debug, info, warning, error; did you mean warning?'),
        ),
        ("model:\n  device: gpu", '2: model.device: "gpu" is not one of auto, cpu, cuda, cuda:0, mps'),
        (
            "model:\n  dtype: int4",
            '2: model.dtype: "int4" is not one of auto, float32, bfloat16, float16, int8; did you mean int8?',
        ),
        ("tls: true", "1: tls: unknown key; it belongs in mqtt"),
        ("threshold: 1", "1: threshold: unknown key; it belongs in labels"),
        ("model:\n  Checkpoint: a", "2: model.Checkpoint: unknown key; did you mean checkpoint?"),
        ("clips: {speech_guard: no}", "1: clips.speech_guard: unknown key; did you mean speech_filter?"),
        (
            "sources: [{name: cam, kind: stream, url: 'rtsp://c/1', pictures: auto}]",
            "1: sources[0].pictures: unknown key; did you mean video?",
        ),
        (
            "hooks: [{name: a, command: [a], at_once: 2}]",
            "1: hooks[0].at_once: unknown key; did you mean max_parallel?",
        ),
        (
            "model:\n  zebra: a",
            (
                "2: model.zebra: unknown key; the keys here are checkpoint, revision, device, engine, "
                "dtype, threads, allow_unqualified"
            ),
        ),
        ("model:\n  'a b\\n c': a", None),
        ("2: 3", None),
        # MQTT
        (
            "mqtt:\n  host: mqtt://broker",
            (
                '2: mqtt.host: "mqtt://broker" is a URL; write only the host name here, '
                "and use the keys tls and port"
            ),
        ),
        (
            "mqtt:\n  host: broker:1883",
            ('2: mqtt.host: "broker:1883" contains a colon; use the key port for the port'),
        ),
        (
            "mqtt:\n  host: my broker",
            '2: mqtt.host: "my broker" is not the name or the IP address of a broker',
        ),
        (
            "mqtt:\n  base_topic: a/#",
            ('2: mqtt.base_topic: "a/#" contains a wildcard; a topic to publish to has no + and no #'),
        ),
        (
            "mqtt:\n  base_topic: /a",
            ('2: mqtt.base_topic: "/a" has an empty level; it must not start or end with /, or contain //'),
        ),
        ("mqtt:\n  base_topic: a/", None),
        ("mqtt:\n  base_topic: a//b", None),
        (
            "mqtt:\n  base_topic: $SYS",
            '2: mqtt.base_topic: "$SYS" starts with $, which is reserved for the broker',
        ),
        (
            'mqtt:\n  base_topic: "a\\0b"',
            "2: mqtt.base_topic: contains a control character; use letters, digits, / and -",
        ),
        ("mqtt:\n  base_topic: ''", '2: mqtt.base_topic: is empty; the default is "clap-monitor"'),
        ("mqtt:\n  ca_file: a.pem", "2: mqtt.ca_file: needs tls: true"),
        ("mqtt:\n  cert_file: a.pem", "2: mqtt.cert_file: needs tls: true"),
        ("mqtt:\n  tls: true\n  key_file: a.key", "3: mqtt.key_file: needs cert_file"),
        ("mqtt:\n  password_env: A", "2: mqtt.password_env: needs username"),
        (
            "mqtt:\n  username: me\n  password_file: a\n  password_env: A",
            "4: mqtt.password_env: cannot be combined with password_file; keep one of the two",
        ),
        # sources
        (
            "sources:\n- {name: a, kind: radio}",
            '2: sources[0].kind: "radio" is not one of microphone, stream, file, pcm',
        ),
        (
            "sources:\n- {name: a, kind: microphone, device: true}",
            (
                "2: sources[0].device: is neither part of a "
                "device name nor an index; see `clap-monitor devices`"
            ),
        ),
        (
            "sources:\n- {name: a, kind: microphone, device: -1}",
            ("2: sources[0].device: -1 is not the index of a device; see `clap-monitor devices`"),
        ),
        (
            "sources:\n- {name: a, kind: file, path: 'rtsp://camera/1'}",
            ('2: sources[0].path: "rtsp:/camera/1" is a URL; write the path of a file'),
        ),
        (
            "sources:\n- {name: a, kind: pcm, rate: 8000, channel: 2}",
            ("2: sources[0].channel: 2 is more than channels (1)"),
        ),
        (
            "sources:\n- name: a\n  kind: microphone\n  labels:\n  - baby_cry\n  - dog_barks",
            '6: sources[0].labels[1]: "dog_barks" is not the id of a label; did you mean dog_bark?',
        ),
        (
            "sources:\n- {name: a, kind: microphone, labels: [dog]}\nlabels: [{id: cat, prompts: [a cat]}]",
            '2: sources[0].labels[0]: "dog" is not the id of a label',
        ),
        (
            "sources:\n- {name: a, kind: stream}",
            "2: sources[0].url: is missing; a source of kind stream needs it",
        ),
        (
            "sources:\n- {name: a, kind: stream, url: 'rtsp://me:hunter2@camera/1'}",
            (
                "2: sources[0].url: contains a user or a password; write the user as username, and the "
                "password into the file named by password_file"
            ),
        ),
        (
            "sources:\n- {name: a, kind: stream, url: 'http://camera/1', tls_verify: false}",
            "2: sources[0].tls_verify: needs rtsps:// or https://",
        ),
        (
            "sources:\n- {name: a, kind: stream, url: 'http://camera/1', username: 'me:hunter2'}",
            (
                "2: sources[0].username: the value is not a user without a colon; a password is named by "
                "password_file"
            ),
        ),
        (
            "sources:\n- {name: a, kind: stream, url: 'http://camera/1', password: hunter2}",
            (
                "2: sources[0].password: a password is never written here; put it in a file and name that as "
                "sources[0].password_file, or in an environment variable and name that as "
                "sources[0].password_env"
            ),
        ),
        (
            "sources:\n- {name: a, kind: file, path: a.wav, url: 'http://camera/1'}",
            "2: sources[0].url: does not belong to kind file, whose own keys are path, pace, track, channel",
        ),
        (
            "sources:\n- {name: a}",
            (
                "2: sources[0].kind: is missing: kind of source: microphone (a sound card), stream (RTSP or "
                "HTTP, from a camera or a server), file (a sound file) or pcm (raw samples on standard input)"
            ),
        ),
    ],
)
def test_a_fault_is_one_line_in_plain_words(tmp_path, text, message):
    found = faults(tmp_path, text)
    assert len(found) == 1
    assert message is None or found == [f"monitor.yaml:{message}"]
    assert "nput should" not in found[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("node: [a", "1: a list or mapping in brackets is not closed, or a comma is missing"),
        ("log_level: info\nnode: 'home\n\n", "2: a quote is opened and never closed"),
        ("node: a: b", "1: a colon that is not allowed here"),
        ("mqtt:\n\tport: 1", "2: a character that is not allowed here (a tab"),
        ("mqtt:\n  port: 1\n tls: true", "3: this line is not indented like the lines it belongs to"),
        ("node: home\nnonsense\nstate: a", "2: a key without a colon and a space after it"),
        ("---\nnode: a\n---\nnode: b", "3: a second document begins (---); keep one"),
        ("node: !!python/object:os.system x", "1: a tag (!) is not allowed here"),
        ("node: !e!x y", "1: a tag (!) is not allowed here"),
        ("node: *home", "1: the alias (*) has no anchor (&) above it"),
        ("a: &a [*a]", "1: the alias (*) has no anchor (&) above it"),
        ("a: &a {b: 1}\nc:\n  <<: *a", "3: merge keys (<<) are not supported; write the keys out"),
        ("? [a, b]\n: c", "1: a key must be a word"),
        ("[" * 5000, "1: nested more than 20 levels deep"),
        ("- " * 5000, "1: nested more than 20 levels deep"),
        ("a: {" * 5000, "1: nested more than 20 levels deep"),
        ("- a\n- b", "1: is a list, not a mapping with the keys node,"),
        ("hello", "1: is text, not a mapping with the keys node,"),
        ("node: \x07", "1: a character that YAML does not allow"),
        ("a: 1\nnode: caf\xe9".encode("latin-1"), "2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("node: home".encode("utf-16"), "1: byte 0xff is not UTF-8; save the file as UTF-8"),
    ],
)
def test_what_is_no_yaml_is_said_in_plain_words(tmp_path, text, message):
    found = faults(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(f"monitor.yaml:{message}")


def test_aliases_that_multiply_are_refused_before_they_do(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert faults(tmp_path, "\n".join(lines)) == [
        "monitor.yaml:5: more than 50000 values, with aliases expanded"
    ]


def test_aliases_that_nest_are_refused_before_they_exhaust_the_stack(tmp_path):
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 300)]
    assert faults(tmp_path, "\n".join(lines))[0].endswith("nested more than 20 levels deep")


def test_an_alias_stands_for_what_it_names(tmp_path):
    text = """\
labels:
- {id: a, prompts: &shared [a dog barking], threshold: 0.7}
- {id: b, prompts: *shared}
"""
    assert accepted(tmp_path, text).labels[1].prompts == ("a dog barking",)


def test_a_huge_file_is_not_read(tmp_path):
    assert faults(tmp_path, b"#" * 300_000) == [
        "monitor.yaml: is larger than 256 KiB; it cannot be a configuration"
    ]


def test_a_file_that_never_ends_is_not_read_to_its_end():
    with pytest.raises(ConfigError, match="larger than 256 KiB"):
        load("/dev/zero")


def test_a_missing_file_says_how_to_write_one(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file; write one with: clap-monitor init"):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("path", "words"),
    [(".", "Is a directory"), ("a\0b", "is not a valid path"), ("a" * 5000, "too long")],
)
def test_what_cannot_be_read_is_one_line(path, words):
    with pytest.raises(ConfigError, match=words) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_is_one_line():
    with pytest.raises(ConfigError, match=r"/proc/self/mem: cannot be read: "):
        load("/proc/self/mem")


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "null\n", "\ufeff# with a byte order mark\n", "{}"]
)
def test_an_empty_file_is_the_defaults(tmp_path, text):
    assert accepted(tmp_path, text) == Config()


def test_numbers_and_words_mean_what_they_look_like(tmp_path):
    text = "silence_dbfs: -6e1\nmqtt: {tls: on, client_id: 12:30, username: 2026-11-23}\nnode: 007"
    config = accepted(tmp_path, text)
    assert config.silence_dbfs == -60
    assert config.mqtt.tls
    assert (config.mqtt.client_id, config.mqtt.username, config.node) == ("12:30", "2026-11-23", "007")


def test_a_folded_prompt_is_one_line(tmp_path):
    text = "labels:\n- id: dog\n  prompts:\n  - >\n    a dog\n    barking\n  - |\n    a dog\n    howling\n"
    assert accepted(tmp_path, text).labels[0].prompts == ("a dog barking", "a dog howling")


def test_a_home_directory_is_written_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(accepted(tmp_path, "state: ~/state").state) == "/home/someone/state"


@pytest.mark.parametrize(
    "text",
    [
        "mqtt:\n  password: hunter2",
        "mqtt:\n  Passwd: hunter2",
        "mqtt:\n  password: [hunter2",
        "mqtt:\n  password: *hunter2",
        "mqtt:\n  password: !hunter2 x",
        "mqtt:\n  password: !hunter2!a x",
        "mqtt:\n  password: a\n  password: hunter2",
        "mqtt:\n  host: me:hunter2@broker",
        "mqtt:\n  host: mqtt://me:hunter2@broker",
        "mqtt: mqtt://me:hunter2@broker",
        "mqtt: [hunter2]",
        "mqtt:\n  username: me\n  password_env: hunter2!",
        "mqtt:\n  username: me\n  password_env: 'hunter2\n\n  x'",
        "mqtt:\n  password_file: hunter2",
        "password: hunter2",
        "notify: ntfy://hunter2/x",
        "notify: [ntfy://hunter2/x]",
        "notify:\n- name: a\n  url: ntfy://hunter2/x",
        "notify:\n- name: a\n  url_file: ntfy://hunter2/x",
        "notify:\n- name: a\n  url_env: ntfy://hunter2/x",
        "notify:\n- name: a\n  url_file: [ntfy://hunter2/x]",
    ],
)
def test_a_secret_in_the_file_is_never_repeated(tmp_path, text):
    found = faults(tmp_path, text)
    assert found
    assert not any("hunter2" in line for line in found)


def test_checking_a_configuration_loads_nothing_heavy():
    heavy = "{'torch', 'transformers', 'sounddevice', 'scipy', 'av', 'soundfile', 'huggingface_hub'}"
    code = f"import sys, monitor.config; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def keys_of(model):
    for name, field in model.model_fields.items():
        yield name
        for each in [field.annotation, *getattr(field.annotation, "__args__", ())]:
            if hasattr(each, "model_fields"):
                yield from keys_of(each)


KEYS = sorted(set(keys_of(Config)))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2000)
    | st.floats()
    | st.sampled_from(
        ["microphone", "file", "pcm", "dog", "a dog barking", "", "0.5", "a@b", "~x/y", "\x85", "\ud7ff"]
    )
    | st.text(max_size=8)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner)
    ),
    max_leaves=20,
)
FIELDS = {name: field.annotation for name, field in Config.model_fields.items()}


@settings(max_examples=300)
@given(tree=st.dictionaries(st.sampled_from([*FIELDS, "extra"]), TREES))
def test_any_tree_is_a_configuration_or_a_list_of_plain_faults(tree, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "tree.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    is_loaded_or_refused_plainly(path)


@settings(max_examples=300)
@given(
    content=st.binary(max_size=200) | st.text(st.sampled_from("ab: -[]{}&*!|>'\"%@`,#?\n\t\\0"), max_size=60)
)
def test_any_bytes_are_a_configuration_or_a_list_of_plain_faults(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    is_loaded_or_refused_plainly(path)


def is_loaded_or_refused_plainly(path):
    try:
        load(path)
    except ConfigError as error:
        for line in str(error).split("\n"):
            assert re.match(rf"{re.escape(str(path))}:[0-9]+: \S", line)
            assert line.isprintable()
            assert "nput should" not in line
            assert "cannot be used: " not in line


def test_a_place_is_written_as_people_write_it():
    assert key_path(("labels", 2, "threshold")) == "labels[2].threshold"
    assert key_path(("a\nb",)) == "a?b"


@pytest.mark.parametrize("key", ["password_env", "password_file", "username"])
def test_a_secret_that_is_a_number_is_not_repeated_either(tmp_path, key):
    (found,) = [line for line in faults(tmp_path, f"mqtt:\n  {key}: 271828") if key in line]
    assert "put it in quotes" in found
    assert "271828" not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "labels:\n- {id: a, prompts: [a], threshold: 0,6}",
            "2: labels[0].threshold: is split by a comma; write 0.6",
        ),
        (
            "labels:\n- {id: a, threshold: 0,65, prompts: [a]}",
            "2: labels[0].threshold: is split by a comma; write 0.65",
        ),
        ("window: {hop_seconds: 0,5}", "1: window.hop_seconds: is split by a comma; write 0.5"),
        (
            "labels:\n- id: a\n  prompts: [a]\n  threshold: 0,6",
            '4: labels[0].threshold: "0,6" is not a number; write 0.6',
        ),
        (
            "sources:\n- {name: a, kind: microphone, device: hw:1,0}",
            "2: sources[0].device: is split by its comma; put the whole text in quotes",
        ),
        (
            "sources:\n- {name: a, device: a,b,c, kind: microphone}",
            "2: sources[0].device: is split by its comma; put the whole text in quotes",
        ),
        ("mqtt: {host: '${BROKER}'}", "1: mqtt.host: contains ${BROKER}, but variables are"),
        ("mqtt:\n  host: ${BROKER:-localhost}", "2: mqtt.host: contains ${BROKER}, but variables are"),
        ("mqtt:\n  host: $BROKER", "2: mqtt.host: contains ${BROKER}, but variables are"),
        (
            "state: /var/${HOME}/x",
            "1: state: contains ${HOME}, but variables are not expanded; write the value itself",
        ),
    ],
)
def test_what_is_written_in_the_way_of_others_is_one_line_with_the_way_of_ours(tmp_path, text, message):
    (found,) = faults(tmp_path, text)
    assert found.startswith(f"monitor.yaml:{message}")


def test_a_shell_may_have_variables_of_its_own(tmp_path):
    text = 'hooks:\n- {name: a, command: [sh, -c, "echo ${HOME}"]}'
    assert accepted(tmp_path, text).hooks[0].command[2] == "echo ${HOME}"


@pytest.mark.parametrize("character", ["\u00a0", "\u200d", "é", "\u3000"])
def test_a_path_may_hold_any_character_that_controls_nothing(tmp_path, character):
    assert accepted(tmp_path, f'state: "a{character}b"').state.name == f"a{character}b"
