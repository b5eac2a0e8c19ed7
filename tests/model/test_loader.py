import json
import pickle
import shutil
import subprocess
import sys
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file, save_file

from monitor.config import ModelConfig
from monitor.model import loader
from monitor.model.checkpoint import FILES, WEIGHTS
from monitor.model.clap import Clap
from monitor.model.hub import STARTER
from monitor.types import ModelError
from tests.support.checkpoints import TINY_FUSED, build
from tests.support.fake_hub import COMMIT, FakeHub, Machine, serve


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(STARTER, tmp_path / "copy")


@pytest.fixture
def pickled(tmp_path):
    """A checkpoint whose weights are a .bin, as the starter's tensors."""
    directory = shutil.copytree(STARTER, tmp_path / "pickled")
    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()
    return directory


def refused(directory, match):
    with pytest.raises(ModelError, match=match) as caught:
        Clap.load(str(directory), engine="torch")
    assert "\n" not in str(caught.value)
    assert str(directory) in str(caught.value)


def test_a_pickle_of_tensors_is_the_same_checkpoint(pickled):
    sentences = ["rain", "a dog barking"]
    ours = Clap.load(str(pickled), engine="torch")
    theirs = Clap.load("starter", engine="torch")
    assert ours.embed_text(sentences).tolist() == theirs.embed_text(sentences).tolist()
    assert ours.logit_scale == theirs.logit_scale


@pytest.mark.parametrize("size", [0, 5, 1000, 1_000_000])
def test_safetensors_that_were_cut_off_are_refused(copy, size):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    refused(copy, "cannot be loaded: SafetensorError")


def test_a_pointer_in_place_of_the_weights_is_refused(copy):
    (copy / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    )
    refused(copy, "cannot be loaded: SafetensorError")


@pytest.mark.parametrize("size", [0, 5, 1_000_000])
def test_a_pickle_that_was_cut_off_is_refused(pickled, size):
    weights = pickled / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:size])
    refused(pickled, "cannot be loaded: ")


class Intruder:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_runs_code_is_refused_before_it_does(pickled, tmp_path):
    with (pickled / "pytorch_model.bin").open("wb") as stream:
        pickle.dump({"logit_scale_a": Intruder(tmp_path / "was here")}, stream, protocol=2)
    refused(pickled, "cannot be loaded: ")
    torch.save({"logit_scale_a": Intruder(tmp_path / "was here")}, pickled / "pytorch_model.bin")
    refused(pickled, "cannot be loaded: UnpicklingError")
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize(
    ("prefix", "match"),
    [
        ("logit_scale_a", "logit_scale_a is missing"),
        ("audio_projection.linear2", "2 tensors are missing, the first audio_projection.linear2.bias"),
    ],
)
def test_missing_tensors_are_counted_and_named(copy, prefix, match):
    remove(copy, prefix)
    refused(copy, match)


def test_a_missing_text_tower_shows_when_it_is_needed(copy):
    remove(copy, "text_model.encoder")
    clap = Clap.load(str(copy), engine="torch")
    with pytest.raises(ModelError, match=r"tensors are missing, the first text_model\.encoder\.layer\.0"):
        clap.embed_text(["rain"])


def remove(directory, prefix):
    tensors = load_file(directory / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
    assert len(kept) < len(tensors)
    save_file(kept, directory / "model.safetensors", metadata={"format": "pt"})


def change(path, section=None, **keys):
    content = json.loads(path.read_text())
    (content[section] if section else content).update(keys)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        (None, {"projection_dim": 128}),
        ("audio_config", {"depths": [2, 2, 2, 2], "hidden_size": 512, "num_attention_heads": [2, 4, 8, 16]}),
        ("audio_config", {"num_attention_heads": [3, 5, 7]}),
        ("audio_config", {"num_attention_heads": [2]}),
        ("audio_config", {"window_size": 5}),
        ("audio_config", {"window_size": "4"}),
        ("audio_config", {"patch_stride": [0, 0]}),
        ("audio_config", {"hidden_act": "loud"}),
        ("text_config", {"vocab_size": -1}),
        (None, {"audio_config": None}),
        (None, {"text_config": 5}),
    ],
)
def test_a_configuration_that_is_not_that_of_the_weights_is_refused(copy, section, keys):
    change(copy / "config.json", section, **keys)
    with pytest.raises(ModelError) as caught:
        Clap.load(str(copy), engine="torch").embed_text(["rain"])
    assert "\n" not in str(caught.value)
    assert str(copy) in str(caught.value)


def test_a_geometry_in_which_the_last_grid_is_smaller_than_the_window_is_refused(tmp_path):
    audio = TINY_FUSED["audio_config"] | {
        "depths": [1, 1, 1, 1],
        "enable_fusion": False,
        "hidden_size": 128,
        "num_attention_heads": [2, 2, 2, 2],
        "spec_size": 128,
    }
    build(tmp_path / "x", TINY_FUSED | {"audio_config": audio}, preprocessor={"hop_length": 1920})
    refused(tmp_path / "x", "config.json: audio_config: stage 3 has ")


def test_weights_that_give_no_numbers_are_refused(copy):
    tensors = load_file(copy / "model.safetensors")
    tensors["audio_projection.linear2.bias"][0] = torch.nan
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    refused(copy, "the output in float32 is not finite")


@pytest.mark.parametrize("content", ["", "{", "{}", '{"version": "1.0", "model": {"type": "BPE"}}'])
def test_a_broken_tokenizer_is_refused(copy, content):
    (copy / "tokenizer.json").write_text(content)
    clap = Clap.load(str(copy), engine="torch")
    with pytest.raises(ModelError, match="cannot be loaded: ") as caught:
        clap.embed_text(["rain"])
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    small = TINY_FUSED | {"text_config": TINY_FUSED["text_config"] | {"vocab_size": 50}}
    build(tmp_path / "x", small, truncation="fusion")
    with pytest.raises(ModelError, match=r"makes token \d+, but text_config.vocab_size is 50"):
        Clap.load(str(tmp_path / "x"), engine="torch").embed_text(["rain on a tin roof"])


def test_a_dtype_that_is_none_is_refused():
    with pytest.raises(
        ModelError, match=r"^model\.dtype: 'int4' is none of auto, float32, bfloat16, float16, int8$"
    ):
        loader.placement_of("cpu", "int4")


def test_every_dtype_of_the_configuration_is_known_here():
    choices = get_args(ModelConfig.model_fields["dtype"].annotation)
    assert "int8" in choices
    for dtype in choices:
        place = loader.placement_of("cpu", dtype)
        assert place.precision == ("float32" if dtype == "auto" else dtype)


@pytest.mark.parametrize("device", ["cuda:0", "mps"])
def test_int8_is_refused_where_it_does_not_run(device):
    with pytest.raises(
        ModelError, match=rf"^model\.dtype: int8 runs on the CPU only, not on {device}: use auto, or `model\."
    ):
        loader.placement_on(torch.device(device), "int8", steps=lambda: 254)


def test_int8_is_refused_where_nothing_computes_it():
    cpu = torch.device("cpu")
    assert loader.placement_on(cpu, "int8", steps=lambda: 126).int8
    with pytest.raises(
        ModelError, match=r"^model\.dtype: int8 does not work with .* this torch: use auto or float32$"
    ):
        loader.placement_on(cpu, "int8", steps=lambda: 0)


def test_int8_is_called_so_though_the_rest_is_in_float32():
    place = loader.placement_of("cpu", "int8")
    assert (str(place), place.dtype) == ("int8 on cpu", torch.float32)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "meta", "cuda:99", "cpu:1"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(ModelError, match=r"^model\.device: "):
        loader.placement_of(device, "auto")


@pytest.mark.skipif(torch.cuda.is_available(), reason="has what the test does without")
def test_without_cuda_auto_is_the_cpu_and_cuda_an_error():
    assert loader.placement_of("auto", "auto") == loader.Placement(torch.device("cpu"), torch.float32)
    with pytest.raises(
        ModelError, match=r"^model\.device: cuda is not available on this machine: use cpu or auto$"
    ):
        loader.placement_of("cuda", "auto")


SMALL_MEMORY = """
import resource, sys, monitor.model.torch_towers
from monitor.model.clap import Clap
from monitor.types import ModelError
with open("/proc/self/statm") as statm:
    pages = int(statm.read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 100 * 2**20,) * 2)
try:
    Clap.load(sys.argv[1], engine="torch")
except ModelError as error:
    print(error)
"""


def test_too_little_memory_is_one_line(clap_htsat_unfused):
    command = [sys.executable, "-c", SMALL_MEMORY, str(clap_htsat_unfused)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout.startswith(f"{clap_htsat_unfused}: not enough memory"), ended
    assert ended.stdout.count("\n") == 1
    assert ended.stderr == ""


OFFLINE = """
import sys, threading
from monitor.model.clap import Clap
clap = Clap.load("someone/clap", engine="torch")
clap.embed_text(["rain"])
for thread in threading.enumerate()[1:]:
    thread.join(10)  # transformers leaves the threads that read the weights to end by themselves
print(clap.revision, clap.name, len(threading.enumerate()))
"""


def test_what_was_downloaded_is_loaded_without_a_word_to_the_hub(pickled, tmp_path):
    # Given the id of a checkpoint that has only a .bin, transformers itself asks the hub from a thread.
    hub = FakeHub(
        {path.name: path.read_bytes() for path in pickled.iterdir() if path.name in FILES + WEIGHTS}
    )
    server, address = serve(hub)
    machine = Machine(tmp_path / "home", address)
    machine.ask("download")
    hub.requests.clear()
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", OFFLINE],
        env=machine.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    server.shutdown()
    server.server_close()
    assert (ended.stdout, ended.stderr) == (f"{COMMIT} someone/clap 1\n", "")
    assert hub.requests == []
