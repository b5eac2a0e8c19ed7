"""Damaged files, from a seed: each is refused in one line, or made anew; nothing else happens."""

import json
import logging
import os
import random
import resource
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest

from monitor.detection.baseline_store import read_baselines
from monitor.detection.calibration import read_calibration
from monitor.detection.cohort_norm import read_cohort_norm
from monitor.detection.qualification_file import write_qualification
from monitor.evaluation.qualified_engine import kept_qualification, path_of
from monitor.model.checkpoint import read
from monitor.model.clap import Clap
from monitor.model.hub import STARTER
from monitor.model.text_cache import TextCache
from monitor.model.text_subprocess import SubprocessTextEncoder
from monitor.model.towers import TextPlace
from monitor.outputs.mqtt.discovery_record import DiscoveryRecord, read_discovery_record
from monitor.types import ModelError
from tests.support import damage
from tests.support.command_line import ROOT, clap_monitor
from tests.support.qualifications import qualification

PLACE = TextPlace("torch")


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(STARTER, tmp_path / "copy")


def plainly(make):
    """Make it, or be told in one line why not."""
    try:
        return make()
    except ModelError as error:
        said = str(error)
    assert said.isprintable(), said
    assert len(said) < 1000
    return None


def small_files(directory):
    """Read the files that are checked before the weights are loaded."""
    read(directory)
    read_cohort_norm(directory, 256)
    read_calibration(directory)


@pytest.mark.parametrize("name", sorted(set(damage.FILES) - {"tokenizer.json"}))
def test_a_damaged_small_file_of_a_checkpoint_is_one_line(copy, name):
    chance = random.Random(f"24 {name}")
    good = (copy / name).read_bytes()
    for _ in range(300 if len(good) < 10_000 else 60):
        (copy / name).write_bytes(good)
        damage.FILES[name](copy / name, chance)
        plainly(lambda: small_files(copy))


@pytest.mark.parametrize("kind", [damage.safetensors_header, damage.weights])
def test_damaged_weights_are_one_line_or_stand_the_self_test(copy, kind):
    chance = random.Random(24)
    good = (copy / "model.safetensors").read_bytes()
    for _ in range(25):
        (copy / "model.safetensors").write_bytes(good)
        kind(copy / "model.safetensors", chance)
        clap = plainly(lambda: Clap.load(str(copy), engine="torch"))
        if clap is not None:
            plainly(clap.self_test)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 0.0])
def test_weights_that_are_no_numbers_or_nothing_do_not_pass_the_self_test(copy, number):
    content = bytearray((copy / "model.safetensors").read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    content[begin:] = np.full((len(content) - begin) // 4, number, dtype=np.float32).tobytes()
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError):
        Clap.load(str(copy), engine="torch").self_test()


def test_a_configuration_with_absurd_numbers_takes_neither_time_nor_memory(copy):
    chance = random.Random(2)
    good = json.loads((copy / "config.json").read_text())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    for _ in range(40):
        config = json.loads(json.dumps(good))
        section = chance.choice(["audio_config", "text_config"])
        for key in chance.sample(sorted(config[section]), 3):
            if isinstance(config[section][key], (int, float)):
                config[section][key] = chance.choice([2**20, 2**31, 10**12, 4096, 128, 64])
        (copy / "config.json").write_text(json.dumps(config))
        plainly(lambda: Clap.load(str(copy), engine="torch"))
    assert time.process_time() - begin < 120
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # KiB


GROWING = {
    "type": "Sequence",
    "normalizers": [{"type": "Replace", "pattern": {"Regex": "."}, "content": "x" * 1000}] * 4,
}
LONG = {
    "type": "Split",
    "pattern": {"Regex": "(a+)+b"},
    "behavior": "Isolated",
    "invert": False,
}
PANICKING = {"type": "Sequence", "pretokenizers": [{"type": "BertPreTokenizer"}, LONG]}


def embed(directory, limit_seconds=300.0):
    reader = SubprocessTextEncoder(read(directory), PLACE, "damaged", limit_seconds=limit_seconds)
    try:
        return reader.embed(["a dog barking " + "a" * 60 + "!"])
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"normalizer": GROWING}, "the text encoder process exited with code"),
        ({"pre_tokenizer": PANICKING}, "the text encoder process exited with code"),
        ({"model": {"type": "BPE", "vocab": {}, "merges": []}}, "returns the same tokens for every prompt"),
        ({"normalizer": "x" * 1000}, "cannot be loaded"),
    ],
    ids=["grows", "panics", "empty", "wrong"],
)
def test_a_tokenizer_that_ends_its_process_is_one_line_and_this_one_goes_on(copy, keys, words):
    content = json.loads((STARTER / "tokenizer.json").read_text())
    (copy / "tokenizer.json").write_text(json.dumps(content | keys))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with pytest.raises(ModelError) as caught:
        embed(copy)
    assert str(caught.value).isprintable()
    assert words in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < max(before, 2_500_000)  # KiB


def test_a_tokenizer_that_makes_more_tokens_than_can_be_cut_is_refused(copy):
    content = json.loads((STARTER / "tokenizer.json").read_text())
    content["post_processor"]["single"] = [{"SpecialToken": {"id": "<s>", "type_id": 0}}] * 1000 + [
        {"Sequence": {"id": "A", "type_id": 0}}
    ]
    (copy / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"does not belong to this model|the tokenizer failed"):
        embed(copy)


def test_a_tokenizer_that_brings_a_program_is_not_asked_about(copy):
    keys = json.loads((copy / "tokenizer_config.json").read_text())
    keys |= {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    (copy / "tokenizer_config.json").write_text(json.dumps(keys))
    (copy / "evil.py").write_text("raise SystemExit('it ran')\n")
    plainly(lambda: embed(copy))


def test_damaged_tokenizers_are_one_line(copy):
    chance = random.Random(5)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        good = (STARTER / name).read_bytes()
        for _ in range(2):
            (copy / name).write_bytes(good)
            damage.json_file(copy / name, chance)
            plainly(lambda: embed(copy))
        (copy / name).write_bytes(good)


AMBIENCE = {"nursery": {"model fingerprint": -3.25, "model other": 1.5}, "garage": {}}
ANNOUNCED = {
    "announced": {"homeassistant/device/x/config": {"a": "sensor"}},
    "retained": ["clap-monitor/x/state"],
}


def one_warning(caplog):
    """Return what was logged: at most one line."""
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    caplog.clear()
    assert len(lines) <= 1
    assert all(line.isprintable() for line in lines)
    return lines


def test_a_damaged_ambience_is_learnt_anew(tmp_path, caplog):
    chance, path = random.Random(1), tmp_path / "ambience.json"
    refused = 0
    for _ in range(400):
        path.write_text(json.dumps(AMBIENCE))
        damage.json_file(path, chance)
        known = read_baselines(tmp_path)
        refused += bool(one_warning(caplog))
        for levels in known.values():
            assert all(abs(level) <= 1e4 for level in levels.values())
    assert refused > 100
    path.write_text(json.dumps(AMBIENCE))
    assert read_baselines(tmp_path) == AMBIENCE


@pytest.mark.parametrize("value", [1e300, -1e300, "7", None, True, [1], {"x": 1}])
def test_an_ambience_that_would_offlineen_is_not_believed(tmp_path, caplog, value):
    (tmp_path / "ambience.json").write_text(json.dumps({"nursery": {"model fingerprint": value}}))
    assert read_baselines(tmp_path) == {}
    assert "starting without baselines" in caplog.text


def test_a_damaged_announcement_is_begun_anew(tmp_path, caplog):
    chance, path = random.Random(1), tmp_path / "announced.json"
    for _ in range(400):
        path.write_text(json.dumps(ANNOUNCED))
        damage.json_file(path, chance)
        announced = read_discovery_record(path)
        one_warning(caplog)
        for topic in (*announced.components, *announced.retained, *announced.stale):
            assert topic
            assert not set(topic) & set("+#\0")
            topic.encode()
    path.write_text(json.dumps(ANNOUNCED))
    announced = read_discovery_record(path)
    assert announced == DiscoveryRecord(ANNOUNCED["announced"], frozenset(ANNOUNCED["retained"]))


@pytest.mark.parametrize(
    "content", [b"", b"[" * 100_000, b"\xff", b"null", b"NaN", b"{}" * 3, b" " * 70_000_000]
)
def test_whatever_is_in_kept_files_they_are_one_line(tmp_path, caplog, content):
    for name, read_it in (("ambience.json", read_baselines), ("announced.json", None)):
        path = tmp_path / name
        path.write_bytes(content)
        kept = read_it(tmp_path) if read_it else read_discovery_record(path)
        assert kept in ({}, DiscoveryRecord())
        assert len(one_warning(caplog)) == 1


def test_damaged_embeddings_of_sentences_are_made_anew(tmp_path, caplog):
    chance = random.Random(1)
    vector = np.full(256, 1 / 16, dtype=np.float32)
    TextCache(tmp_path, ["model"], 256).write("rain", vector)
    (path,) = tmp_path.glob("*.npy")
    good = path.read_bytes()
    for number in range(400):
        header = number % 2
        path.write_bytes(
            damage.bytes_(good[:128], chance) + good[128:] if header else damage.bytes_(good, chance)
        )
        kept = TextCache(tmp_path, ["model"], 256).read("rain")
        assert len(one_warning(caplog)) == (kept is None)
        assert kept is None or abs(np.linalg.norm(kept) - 1) < 1e-2
    for content in (
        b"PK\x03\x04" + bytes(100),
        b"\x80\x04N.",
        b"",
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 70_000,
    ):
        path.write_bytes(content)
        assert TextCache(tmp_path, ["model"], 256).read("rain") is None
        assert len(one_warning(caplog)) == 1


def test_a_damaged_qualification_is_said_and_not_used(tmp_path, caplog):
    model = SimpleNamespace(dimension=8)
    made = qualification()
    path = path_of(tmp_path, made.setup)
    write_qualification(path, made)
    assert kept_qualification(tmp_path, made.setup, model).figures == made.figures
    for content in (b"", b"[" * 100_000, b"\xff" * 8, path.read_bytes()[:-1], bytes(100)):
        path.write_bytes(content)
        caplog.clear()
        assert kept_qualification(tmp_path, made.setup, model) is None
        assert "qualifying the checkpoint again" in one_warning(caplog)[0]


def test_a_fifo_in_place_of_a_kept_file_does_not_stop_the_start(tmp_path, caplog):
    os.mkfifo(tmp_path / "ambience.json")
    assert read_baselines(tmp_path) == {}
    assert "is not a regular file" in caplog.text


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b'{"announced": NaN}', b"\xff" * 100])
def test_the_program_starts_beside_damaged_kept_files_and_says_so_in_one_line_each(tmp_path, content):
    (tmp_path / "own.yaml").write_text("mqtt: {host: 127.0.0.1, port: 9}\n")
    (tmp_path / "state" / "prompts").mkdir(parents=True)
    arguments = ("run", "--config", "own.yaml", "--label", "a rooster crowing", "--fast")
    clap = Clap.load("starter", dtype="float32", cache=tmp_path / "state" / "prompts")
    clap.embed_text(["a rooster crowing"])
    (kept,) = (tmp_path / "state" / "prompts").iterdir()
    files = [tmp_path / "state" / "ambience.json", tmp_path / "state" / "announced.json", kept]
    for file in files:
        file.write_bytes(content)
    done = clap_monitor(*arguments, "--source", ROOT / "recordings/demo.flac", cwd=tmp_path)
    assert "start  a rooster crowing" in done.stdout
    assert "Traceback" not in done.stderr
    for file in files:
        assert done.stderr.count(file.name) == 1, done.stderr
