import json
import random
import threading

import numpy as np
import pytest

from monitor.model import hub as hub_module
from monitor.model.hub import STARTER, download, local_directory, resolve
from monitor.types import ConfigError, ModelError
from tests.support.fake_hub import COMMIT, FakeHub, Machine, serve

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
    hub.breaks["model.safetensors"] = 1
    path, progress = machine.ask("download")
    ranges = [
        span for method, name, span in hub.requests if method == "GET" and name.endswith(".safetensors")
    ]
    assert ranges[0] is None
    assert ranges[1] == f"bytes={len(WEIGHTS) // 2}-"
    assert progress[-1][0] == progress[-1][1]
    assert machine.ask("resolve") == [path, []]


def test_a_hub_that_cannot_take_up_a_transfer_begins_anew(hub, machine):
    hub.breaks["model.safetensors"], hub.ranges = 1, False
    path, progress = machine.ask("download")
    assert progress[-1][0] == progress[-1][1]
    assert machine.ask("resolve") == [path, []]


def test_a_transfer_that_stays_short_is_an_error_and_leaves_the_cache_valid(hub, machine):
    hub.sent["model.safetensors"] = WEIGHTS[:1_000_000]
    code, line = machine.fail("download")
    assert code == 69
    assert line == "someone/clap: the transfer failed; download it again"
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
    assert line.startswith(f"someone/clap: {name} does not have the hash that the hub lists")
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
    assert line == "someone/clap: not a CLAP checkpoint: missing tokenizer.json or vocab.json and merges.txt"


def test_a_revision_that_is_not_there_is_refused(machine):
    code, line = machine.fail("download", revision="v9")
    assert (code, line.partition(" on ")[0]) == (65, "someone/clap: no revision v9")


def test_a_checkpoint_that_is_not_there_is_refused(hub, machine):
    hub.status = 404
    code, line = machine.fail("download")
    assert code == 65
    assert line.startswith("someone/clap: no such directory, and no public checkpoint on http://127.0.0.1")


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
    assert line.startswith("someone/clap: not in the cache, and HF_HUB_OFFLINE is set: ")
    assert what_to_do(line)
    assert hub.requests == []


def test_nothing_is_asked_but_the_listing_and_the_files(hub, machine):
    machine.ask("download")
    assert len(hub.requests) == 1 + len(hub.files)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": 503}, "answers with HTTP status 503"),
        ({"page": b"<html>Log in"}, "unexpected response from"),
    ],
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
    assert "cannot be saved in" in line
    assert line.endswith("Not a directory")


DIGITS = "40 hexadecimal digits"


class Near:
    """Asks the hub from this process: a hundred processes would take minutes."""

    def __init__(self, machine, monkeypatch):
        self.cache, self._monkeypatch = machine.cache, monkeypatch
        monkeypatch.setattr(hub_module.constants, "ENDPOINT", machine.environment["HF_ENDPOINT"])
        monkeypatch.setattr(hub_module.constants, "HF_HUB_CACHE", str(machine.cache.parent))

    def limit(self, **limits):
        for name, value in limits.items():
            self._monkeypatch.setattr(hub_module, name, value)

    def fail(self, **options):
        with pytest.raises(ModelError) as caught:
            download("someone/clap", **options)
        line = str(caught.value)
        assert line.isprintable()
        assert len(line) < 500
        return caught.value.exit_code, line


@pytest.fixture
def near(machine, monkeypatch):
    return Near(machine, monkeypatch)


@pytest.mark.parametrize(
    "commit",
    [
        "../../../escaped",
        "/escaped",
        "a" * 39,
        "A" * 40,
        "a" * 40 + "/..",
        "a" * 40 + "\n",
        "",
        "\0",
        7,
        None,
    ],
)
def test_a_commit_that_is_no_hash_is_refused_before_anything_is_written(hub, near, tmp_path, commit):
    hub.commit = commit
    code, line = near.fail()
    assert code == 65
    assert f"names the commit {commit!r}"[:60] in line
    assert DIGITS in line
    assert list(tmp_path.rglob("*")) == []


def test_another_commit_than_the_one_that_was_asked_for_is_refused(hub, near):
    server = hub.commit
    hub.listing_commit = "b" * 40
    code, line = near.fail(revision=server)
    assert code == 65
    assert f"returns the commit {'b' * 40} for the commit {server}" in line


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("digest", [None, "", "../../../escaped", "/escaped", "z" * 40, "A" * 64, 5, [], {}])
def test_a_hash_that_is_none_is_refused_before_anything_is_fetched(hub, near, tmp_path, name, digest):
    wrong = {"lfs": {"sha256": digest, "size": 3_000_000}} if FakeHub.large(name) else {"blobId": digest}
    hub.entries[name] = wrong
    code, line = near.fail()
    assert code == 65
    assert f"lists {name} with the hash {digest!r}" in line
    assert hub.fetched() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_listing_without_any_hash_is_not_believed(hub, near):
    hub.entries = {name: {"blobId": None, "lfs": None} for name in hub.files}
    code, line = near.fail()
    assert code == 65
    assert "lists config.json with the hash None" in line


@pytest.mark.parametrize("size", [None, 0, -1, 2**20 + 1, 10**30, 1.5, "7", True])
def test_a_size_that_cannot_be_is_refused_before_anything_is_fetched(hub, near, size):
    hub.entries["config.json"] = {"size": size}
    code, line = near.fail()
    assert code in {65, 69}
    assert "lists config.json with the size" in line or "unexpected response from" in line
    assert hub.fetched() == []


def test_weights_that_are_larger_than_any_or_than_the_disk_are_not_begun(hub, machine, full_disk):
    machine.environment["HF_HOME"] = str(full_disk)
    code, line = machine.fail("download")
    assert code == 65
    assert "No space left on device" in line
    hub.entries["model.safetensors"] = {"lfs": {"sha256": "a" * 64, "size": 8 * 2**30 + 1}}
    code, line = machine.fail("download")
    assert code == 65
    assert "lists model.safetensors with the size" in line
    assert "model.safetensors" not in hub.fetched()


def test_etags_and_commits_in_headers_name_no_file(hub, machine, tmp_path):
    hub.headers = {
        "ETag": '"../../../../escaped"',
        "X-Linked-ETag": "../../escaped",
        "X-Repo-Commit": "../../../x",
    }
    path, _ = machine.ask("download")
    assert path == str(machine.cache / "snapshots" / COMMIT)
    outside = [
        file for file in tmp_path.rglob("*") if not file.is_relative_to(machine.cache) and file.is_file()
    ]
    assert outside == []
    assert whole(machine)


@pytest.mark.parametrize(
    "name",
    [
        "../../../escaped",
        "/escaped",
        "Config.json",
        "CONFIG.JSON",
        "config.json\0",
        "./config.json",
        "a" * 9999,
    ],
)
def test_files_of_other_names_are_not_fetched(hub, machine, tmp_path, name):
    hub.more = [{"rfilename": name, "size": 5, "blobId": "a" * 40}, None, 7, [], {"rfilename": 3}]
    machine.ask("download")
    assert sorted(hub.fetched()) == sorted([*SMALL, "model.safetensors"])
    assert not [path for path in tmp_path.rglob("*") if "escaped" in path.name]


@pytest.mark.parametrize("name", ["", "config.json", "model.safetensors"])
def test_an_answer_without_end_is_cut_off_and_not_kept(hub, near, name):
    hub.endless = {name}
    code, line = near.fail()
    assert code == 65
    assert "sends more than" in line
    assert whole(near)
    assert list(near.cache.rglob("*.incomplete")) == []


@pytest.mark.parametrize("where", ["head", "body"])
@pytest.mark.parametrize("name", ["", "config.json"])
def test_an_answer_that_only_drips_ends(hub, near, name, where):
    hub.drips = {name: where}
    near.limit(PATIENCE_SECONDS=1.0, SLOWEST=1e9)
    code, line = near.fail()
    assert code == 69
    assert "someone/clap: " in line


@pytest.mark.parametrize("name", ["", "config.json", "model.safetensors"])
def test_what_is_packed_is_not_unpacked(hub, near, name):
    hub.packed = {name}
    if name:
        hub.sent[name] = bytes(300_000_000)  # a bomb
    code, line = near.fail()
    assert code == 65
    assert "compresses the answer" in line


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "http://", "http://[::1", "//:x", "gopher://x"],
)
@pytest.mark.parametrize("name", ["", "config.json"])
def test_a_redirect_to_anything_but_http_is_refused(hub, near, target, name):
    hub.moved = {name: target}
    code, line = near.fail()
    assert code == 65
    assert "redirects" in line


def test_a_redirect_in_a_circle_ends(hub, near):
    hub.moved = {"config.json": f"/someone/clap/resolve/{COMMIT}/config.json"}
    code, line = near.fail()
    assert code == 65
    assert "redirects more than 5 times" in line


@pytest.fixture
def elsewhere(hub):
    """Another server, with the same files."""
    other = FakeHub(hub.files)
    server, address = serve(other)
    yield other, address
    server.shutdown()
    server.server_close()


def test_the_token_goes_to_the_hub_and_to_nobody_else(hub, machine, elsewhere):
    other, address = elsewhere
    hub.moved = {
        "config.json": f"{address}/elsewhere/config.json",
        "model.safetensors": f"{address.replace('127.0.0.1', 'localhost')}/elsewhere/model.safetensors",
        "tokenizer.json": "/elsewhere/tokenizer.json",
    }
    machine.environment["HF_TOKEN"] = "hf_secret"
    path, _ = machine.ask("download")
    assert set(hub.tokens) == {"Bearer hf_secret"}
    assert set(other.tokens) == {None}
    assert len(other.fetched()) == 0
    assert {name.rsplit("/", 1)[1] for _, name, _ in other.requests} == {"config.json", "model.safetensors"}
    assert machine.ask("resolve") == [path, []]


def test_a_listing_from_another_host_gets_no_token(hub, machine, elsewhere):
    other, address = elsewhere
    hub.moved = {"": f"{address}/api/models/someone/clap"}
    machine.environment["HF_TOKEN"] = "hf_secret"
    machine.ask("download")
    assert set(other.tokens) == {None}


def test_what_was_right_once_stays_in_use_when_the_hub_lies_later(hub, machine):
    path, _ = machine.ask("download")
    kept = {file: file.read_bytes() for file in machine.cache.glob("snapshots/*/*")}
    hub.files["config.json"] = b'{"model_type": "clap", "other": 1}'
    code, line = machine.fail("download")
    assert code == 65
    assert "for the same commit: the file was not replaced" in line
    assert {file: file.read_bytes() for file in machine.cache.glob("snapshots/*/*")} == kept
    assert machine.ask("resolve") == [path, []]


def test_links_that_others_put_into_the_cache_are_neither_followed_nor_written_through(machine, tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "config.json").write_bytes((STARTER / "config.json").read_bytes())
    path, _ = machine.ask("download")
    (machine.cache / "snapshots" / COMMIT / "config.json").unlink()
    (machine.cache / "snapshots" / COMMIT / "config.json").symlink_to(tmp_path / "config.json")
    assert machine.ask("local_directory") == ["None", []]
    for name in ("clap-monitor.json", "clap-monitor.part", f"blobs/{'a' * 40}"):
        (machine.cache / name).unlink(missing_ok=True)
        (machine.cache / name).symlink_to(tmp_path / "precious")
    assert machine.ask("download")[0] == path
    assert not (machine.cache / "clap-monitor.json").is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"
    assert machine.ask("local_directory") == [path, []]


def test_a_folder_of_the_cache_that_leads_elsewhere_is_not_written_to(near, tmp_path):
    (tmp_path / "other").mkdir()
    near.cache.mkdir(parents=True)
    (near.cache / "blobs").symlink_to(tmp_path / "other")
    code, line = near.fail()
    assert code == 65
    assert "links to a place outside the cache" in line
    assert list((tmp_path / "other").iterdir()) == []


NASTY = [
    b"",
    b"[" * 60_000,
    b"\xff\xfe",
    b"null",
    b"[]",
    b'{"main": "../../../../etc"}',
    b'{"main": 7}',
    b"NaN",
]


@pytest.mark.parametrize("content", NASTY)
@pytest.mark.parametrize("name", ["clap-monitor.json", "refs/main"])
def test_damaged_notes_of_commits_are_ignored(machine, name, content):
    path, _ = machine.ask("download")
    (machine.cache / "clap-monitor.json").unlink()
    (machine.cache / name).parent.mkdir(exist_ok=True)
    (machine.cache / name).write_bytes(content)
    assert machine.ask("local_directory") == ["None", []]
    assert machine.ask("download")[0] == path


def test_a_revision_that_is_a_path_finds_nothing(machine, tmp_path):
    (tmp_path / "home" / "secret").parent.mkdir()
    (tmp_path / "home" / "secret").write_text(COMMIT)
    machine.ask("download")
    for revision in ("../../../secret", str(tmp_path / "home" / "secret"), "a\0b", "x" * 5000):
        assert machine.ask("local_directory", revision=revision) == ["None", []]


@pytest.mark.parametrize("name", ["~nobody-has-this-name/x", "x" * 5000, "a/" + "b" * 300, "a\0b", "\ud800"])
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(ModelError):
        resolve(name)


def test_whatever_a_hub_answers_is_one_line(hub, machine, near):
    chance = random.Random(24)
    good = json.dumps(hub.listing()).encode()
    near.limit(PATIENCE_SECONDS=20.0, _PAUSE_SECONDS=0.0)
    for _ in range(200):
        page = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(page))
            page[at : at + chance.randrange(9)] = chance.choice(
                [b"", b"null", b"[[[", b"-1", b'"', b"\xff", b"9" * 30]
            )
        hub.page = bytes(page)
        code, _ = near.fail()
        assert code in {65, 69}
    hub.page = None
    machine.ask("download")
