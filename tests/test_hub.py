import json
import threading

import numpy as np
import pytest

from monitor.hub import STARTER, local_directory, resolve
from monitor.types import ConfigError, ModelError
from tests.fake_hub import COMMIT, FakeHub, Machine, serve

SMALL = ("config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json")
WEIGHTS = np.random.default_rng(0).bytes(3_000_000)

CONTENTS = {WEIGHTS, *((STARTER / name).read_bytes() for name in SMALL)}


def whole(machine):
    """True if every file in the cache is whole: nothing half-fetched can be taken for a file."""
    blobs = [path for path in machine.cache.glob("blobs/*") if path.suffix != ".incomplete"]
    return all(path.read_bytes() in CONTENTS for path in blobs)


@pytest.fixture
def hub():
    return FakeHub({name: (STARTER / name).read_bytes() for name in SMALL} | {"model.safetensors": WEIGHTS})


@pytest.fixture
def machine(hub, tmp_path):
    server, address = serve(hub)
    yield Machine(tmp_path / "home", address)
    server.shutdown()
    server.server_close()


def test_the_starter_and_directories_need_no_hub(tmp_path):
    assert resolve("starter") == local_directory("starter") == STARTER
    assert resolve(str(tmp_path)) == tmp_path


def test_what_is_neither_a_directory_nor_an_id_is_refused():
    for name in ("/does/not/exist", "./x", "one", "a/b/c", "", "a b/c"):
        with pytest.raises(ModelError, match="no such directory; a checkpoint is `starter`"):
            resolve(name)


def test_a_revision_belongs_to_the_hub():
    with pytest.raises(ConfigError, match=r"model\.revision: v1: starter is not on the hub"):
        resolve("starter", "v1")


def test_download_fetches_checks_pins_and_tells_how_far_it_is(hub, machine):
    hub.files |= {"README.md": b"# CLAP", "pytorch_model.bin": b"not wanted beside safetensors"}
    path, progress = machine.ask("download")
    assert path == str(machine.cache / "snapshots" / COMMIT)
    assert sorted(hub.fetched()) == sorted([*SMALL, "model.safetensors"])
    assert json.loads((machine.cache / "clap-monitor.json").read_text()) == {"main": COMMIT}
    total = sum(len(content) for content in CONTENTS)
    assert progress[-1] == [total, total]
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert whole(machine)


def test_what_was_downloaded_is_found_without_asking_the_hub(hub, machine):
    path, _ = machine.ask("download")
    hub.requests.clear()
    hub.commit = "b" * 40
    (machine.cache / "refs").mkdir(exist_ok=True)
    (machine.cache / "refs" / "main").write_text("b" * 40)  # another program has moved the shared reference
    assert machine.ask("resolve") == machine.ask("local_directory") == [path, []]
    assert hub.requests == []
    newer, _ = machine.ask("download")
    assert newer.endswith("b" * 40)
    assert machine.ask("resolve") == [newer, []]


def test_what_another_program_downloaded_is_found(machine):
    path, _ = machine.ask("download")
    (machine.cache / "clap-monitor.json").unlink()
    (machine.cache / "refs").mkdir(exist_ok=True)
    (machine.cache / "refs" / "main").write_text(COMMIT)
    assert machine.ask("resolve") == [path, []]


def test_a_second_download_fetches_nothing_again(hub, machine):
    machine.ask("download")
    hub.requests.clear()
    _, progress = machine.ask("download")
    assert hub.fetched() == []
    assert progress[-1][0] == progress[-1][1]


def test_a_checkpoint_that_is_not_here_is_fetched_when_it_is_needed(machine):
    assert machine.ask("local_directory") == ["None", []]
    path, _ = machine.ask("resolve", revision="v1")
    assert path.endswith(COMMIT)
    assert json.loads((machine.cache / "clap-monitor.json").read_text()) == {"v1": COMMIT}


def test_a_pickle_is_fetched_if_there_is_nothing_else(hub, machine):
    hub.files["pytorch_model.bin"] = hub.files.pop("model.safetensors")
    machine.ask("download")
    assert "pytorch_model.bin" in hub.fetched()


def test_a_transfer_that_breaks_off_is_taken_up_where_it_ended(hub, machine):
    hub.files["model.safetensors"] = WEIGHTS * 8  # the library writes pieces of 10 MiB
    hub.breaks["model.safetensors"] = 1
    path, progress = machine.ask("download")
    ranges = [
        span for method, name, span in hub.requests if method == "GET" and name.endswith(".safetensors")
    ]
    assert ranges[0] is None
    assert ranges[1] == f"bytes={10 * 2**20}-"
    assert progress[-1][0] == progress[-1][1]
    assert machine.ask("resolve") == [path, []]


def test_a_transfer_that_stays_short_is_an_error_and_leaves_the_cache_valid(hub, machine):
    hub.sent["model.safetensors"] = WEIGHTS[:1_000_000]
    code, line = machine.fail("download")
    assert code == 69
    assert line == "someone/clap: the transfer broke off; download it again"
    assert whole(machine)
    assert machine.ask("local_directory") == ["None", []]
    hub.sent.clear()
    machine.ask("download")


def test_a_download_that_is_killed_can_be_done_again(hub, machine):
    hub.stalls = threading.Event()
    client = machine.start("download")
    assert hub.stalls.wait(300)
    client.kill()
    client.communicate()
    assert whole(machine)
    assert machine.ask("local_directory") == ["None", []]
    hub.stalls = None
    path, _ = machine.ask("download")
    assert machine.ask("resolve") == [path, []]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_with_the_wrong_hash_is_refused_and_not_kept(hub, machine, name):
    hub.sent[name] = hub.files[name][:-1] + b"?"
    code, line = machine.fail("download")
    assert code == 65
    assert line.startswith(f"someone/clap: {name} is not the file that the hub describes")
    assert whole(machine)
    assert machine.ask("local_directory") == ["None", []]
    hub.sent.clear()
    machine.ask("download")


def test_a_file_that_has_rotted_in_the_cache_is_fetched_anew(hub, machine):
    path, _ = machine.ask("download")
    blob = (machine.cache / "snapshots" / COMMIT / "model.safetensors").resolve()
    blob.write_bytes(b"?" + WEIGHTS[1:])
    hub.requests.clear()
    assert machine.ask("download")[0] == path
    assert hub.fetched() == ["model.safetensors"]
    assert whole(machine)


def test_a_failed_download_leaves_the_pinned_one_in_use(hub, machine):
    path, _ = machine.ask("download")
    hub.commit, hub.files["model.safetensors"] = "b" * 40, WEIGHTS[::-1]
    hub.sent["model.safetensors"] = WEIGHTS
    assert machine.fail("download")[0] == 65
    assert machine.ask("resolve") == [path, []]


def test_a_repository_that_is_no_checkpoint_is_refused(hub, machine):
    del hub.files["tokenizer.json"]
    code, line = machine.fail("download")
    assert code == 65
    assert line == "someone/clap: not a CLAP checkpoint: without tokenizer.json or vocab.json and merges.txt"


def test_a_revision_that_is_not_there_is_refused(machine):
    code, line = machine.fail("download", revision="v9")
    assert (code, line.partition(" on ")[0]) == (65, "someone/clap: no revision v9")


def test_a_checkpoint_that_is_not_there_is_refused(hub, machine):
    hub.status = 404
    code, line = machine.fail("download")
    assert code == 65
    assert line.startswith("someone/clap: no such directory, nor a public checkpoint on http://127.0.0.1")


def what_to_do(line):
    ways = "use `--model starter` or a directory, or run `clap-monitor download someone/clap`"
    return line.endswith(f": {ways} where the hub can be reached")


def test_a_hub_that_cannot_be_reached_is_one_line_that_says_what_to_do(tmp_path):
    code, line = Machine(tmp_path, "http://127.0.0.1:9").fail("resolve")
    assert code == 69
    assert line.startswith("someone/clap: http://127.0.0.1:9 cannot be reached: ")
    assert what_to_do(line)


def test_a_hub_that_is_forbidden_is_not_asked(hub, machine):
    machine.environment["HF_HUB_OFFLINE"] = "1"
    code, line = machine.fail("resolve")
    assert code == 69
    assert line.startswith("someone/clap: not here, and HF_HUB_OFFLINE is set: ")
    assert what_to_do(line)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("change", "words"),
    [({"status": 503}, "answers 503"), ({"page": b"<html>Log in"}, "answers as no hub does")],
)
def test_a_hub_that_answers_something_else_counts_as_unreachable(hub, machine, change, words):
    vars(hub).update(change)
    code, line = machine.fail("resolve")
    assert code == 69
    assert words in line
    assert what_to_do(line)


def test_a_cache_that_cannot_be_written_is_named(machine, tmp_path):
    (tmp_path / "file").touch()
    machine.environment["HF_HOME"] = str(tmp_path / "file")
    code, line = machine.fail("download")
    assert code == 65
    assert "cannot be kept in" in line
    assert line.endswith("Not a directory")
