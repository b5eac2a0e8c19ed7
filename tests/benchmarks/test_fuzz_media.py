"""Damaged media through every way in: each is decoded or refused, and nothing else happens."""

import json
import subprocess
import sys

import pytest

from tests.support.command_line import ENVIRONMENT, ROOT


@pytest.mark.parametrize(("kind", "count"), [("files", 450), ("http", 30), ("rtsp", 12)])
def test_what_is_damaged_is_heard_or_refused_and_nothing_else_happens(kind, count):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "benchmarks.fuzz_media", "--count", str(count), kind],
        cwd=ROOT,
        env=ENVIRONMENT | {"GLIBC_TUNABLES": "glibc.malloc.perturb=165"},  # freed memory is no zeros
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    assert (counts["cases"], counts["faults"]) == (count, 0)
    assert counts["heard"] > 0
    assert counts["refused"] > 0
