"""Two nodes of Ray, one of which is killed in the middle: the results are those of this machine alone."""

import os
from pathlib import Path

import pytest
import soundfile

from monitor.archive.job import Job
from monitor.archive.local_engine import LocalEngine
from monitor.archive.recording_list import list_recordings
from monitor.archive.results import Draft, opened
from monitor.config import Config, load
from tests.support.command_line import ROOT

STORE = 100 * 2**20
"""Bytes of the object store of a node, about the least that Ray takes."""


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 would wait for all else that runs here
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - it takes seconds, and its settings stand before

    node = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    yield cluster
    cluster.shutdown()


def results_of(engine, recordings, folder, on_draft=lambda: None):
    """Scan recordings with an engine; return the content of each file of the results."""
    with opened(folder) as results, engine(results.drafts) as scanning:
        loaded = scanning.load()
        results.settle(loaded.origin, loaded.dimension, embeddings=True)
        for at in scanning.scan(results.undone(recordings)):
            if isinstance(at, Draft):
                results.commit(at)
                on_draft()
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/*.parquet")}


@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_node_that_dies_costs_nothing(cluster, tmp_path):
    from monitor.archive.ray_engine import RayEngine  # noqa: PLC0415 - as above

    config = load(ROOT / "config/demo.yaml")
    config = config.model_copy(update={"state": tmp_path / "state"})
    assert isinstance(config, Config)
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", frames=9 * 32_000)
    for number in range(4):
        path = tmp_path / f"in/garden/20240131_0630{number:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples[number * rate :], rate)
    (path.parent / "text.mp3").write_text("no sound")
    recordings = list_recordings([str(path.parent)])
    job = Job(config, embeddings=True)
    other = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    killed = []

    def kill_once():
        if not killed:
            killed.append(other)
            cluster.remove_node(other, allow_graceful=False)

    ray = results_of(
        lambda drafts: RayEngine(job, drafts, cluster.address), recordings, tmp_path / "ray", kill_once
    )
    local = results_of(lambda drafts: LocalEngine(job, drafts, 1), recordings, tmp_path / "local")
    assert killed
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert len([name for name in local if Path(name).parts[0] == "files"]) == len(recordings) + 1
    assert ray == local
