"""Ray engine: recordings through an actor pool of Ray Data, here or on a cluster; results come back here.

A recording is a row, and is never cut: what a window means depends on those before it.  An actor runs a
`LocalEngine` of one process, which decodes in one thread and embeds in another.  The row that comes back
holds the files of one part; if a node dies, Ray gives its recordings to others.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from monitor.archive.job import CPU_FILES, GPU_FILES, Job, Loaded
from monitor.archive.local_engine import LocalEngine
from monitor.archive.recording_list import Recording
from monitor.archive.results import Draft
from monitor.archive.tables import TABLES
from monitor.system.atomic_file import flush_to_disk
from monitor.system.boundary import boundary
from monitor.types import MonitorError

_BLOCKS = 4
"""Blocks for each core from which several recordings are in one: their windows are batches then."""

_SENT = pa.schema(
    [("address", pa.binary()), ("size", pa.int64()), ("version", pa.string()), ("modified_at", pa.float64())]
)
_RETURNED = pa.schema(
    [
        ("part", pa.string()),
        ("failed", pa.bool_()),
        ("seconds", pa.float64()),
        ("events", pa.int64()),
        ("reason", pa.string()),
        ("file", pa.string()),
        *((f"{table}_table", pa.binary()) for table in TABLES),
    ]
)


class ClusterError(MonitorError):
    """The cluster cannot be used."""


class RayEngine:
    """Ray, from the beginning of its context to the end.

    Parameters
    ----------
    job : Job
    drafts : Path
        Folder for files that are not whole yet.
    address : str or None
        Of a cluster; None: Ray on this machine.
    """

    def __init__(self, job: Job, drafts: Path, address: str | None) -> None:
        self._job, self._drafts, self._address = job, drafts, address

    def __enter__(self) -> Self:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray's makers are told nothing
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what a later version does, anyway
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        with boundary(ClusterError, "--engine ray"):
            import ray  # noqa: PLC0415 - the extra `scale`

            ray.init(
                address=self._address,
                include_dashboard=None if self._address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            ray.data.DataContext.get_current().enable_progress_bars = False
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return self

    def __exit__(self, *_: object) -> None:
        import ray  # noqa: PLC0415 - as above

        ray.shutdown()

    def load(self) -> Loaded:
        """Load the checkpoint on this machine once, to know what the results come from.

        Raises
        ------
        MonitorError
            The checkpoint cannot be used.
        """
        with LocalEngine(self._job, self._drafts, 1) as local:
            return local.load()

    def scan(self, recordings: Sequence[Recording]) -> Iterator[Draft]:
        """Scan recordings; yield what is done, in any order.

        Raises
        ------
        ClusterError
            The cluster is gone, or has no room for an actor.
        """
        if not recordings:
            return
        import ray.data  # noqa: PLC0415 - as above

        with boundary(ClusterError, "--engine ray"):
            resources: Any = ray.cluster_resources  # untyped
            known: dict[str, float] = resources()
            gpus = known.get("GPU", 0) > 0
            many = len(recordings) >= _BLOCKS * CPU_FILES * known.get("CPU", 1)
            per_block = GPU_FILES if gpus else CPU_FILES if many else 1
            rows = [{**asdict(each), "address": os.fsencode(each.address)} for each in recordings]
            blocks = [
                pa.Table.from_pylist(rows[first : first + per_block], schema=_SENT)
                for first in range(0, len(rows), per_block)
            ]
            batches: Iterator[Any] = iter(
                ray.data.from_arrow(blocks)
                .map_batches(
                    _Actor,
                    fn_constructor_args=(self._job,),
                    batch_size=None,
                    batch_format="pyarrow",
                    compute=ray.data.ActorPoolStrategy(min_size=1),
                    num_cpus=1,
                    num_gpus=1 if gpus else 0,
                )
                .iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
            )
        while True:
            with boundary(ClusterError, "--engine ray"):
                batch = next(batches, None)
            if batch is None:
                return
            for number in range(len(batch)):
                yield self._received(batch.slice(number, 1).to_pylist()[0])

    def _received(self, row: dict[str, Any]) -> Draft:
        """Write the files of a part to this disk."""
        tables = {}
        for table in TABLES:
            content = row.pop(f"{table}_table")
            if content is not None:
                tables[table] = self._drafts / f"{row['part']}.{table}"
                with tables[table].open("wb") as file:
                    file.write(content)
                    flush_to_disk(file)
        return Draft(**row, tables=tables)


class _Actor:
    """Scans blocks of recordings; it lives in a process of Ray."""

    def __init__(self, job: Job) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="clap-monitor-scan-")
        self._engine = LocalEngine(job, Path(self._folder.name), 1)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        rows = [{**row, "address": os.fsdecode(row["address"])} for row in batch.to_pylist()]
        for at in self._engine.scan([Recording(**row) for row in rows]):
            if isinstance(at, Draft):
                yield pa.Table.from_pylist([_packed(at)], schema=_RETURNED)


def _packed(draft: Draft) -> dict[str, Any]:
    """Return a part with the content of its files, which are deleted."""
    known = {name: getattr(draft, name) for name in ("part", "failed", "seconds", "events", "reason", "file")}
    for table, path in draft.tables.items():
        known[f"{table}_table"] = path.read_bytes()
        path.unlink()
    return known
