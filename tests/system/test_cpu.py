"""Processor: what of it may be used."""

import os

import pytest

from monitor.system.cpu import allowed_cores, free_cores, has_bfloat16

MANY = 1000.0


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "400000 100000\n"}, 4),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        (
            {
                "proc/self/cgroup": "7:memory:/x\n3:cpu,cpuacct:/x\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        ({"proc/self/cgroup": "3:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "nonsense\n"}, 8),
    ],
)
@pytest.mark.usefixtures("cores")
def test_quotas_of_every_group_around_the_process_count(tmp_path, files, expected):
    assert allowed_cores(write(tmp_path, files)) == expected


@pytest.mark.parametrize(("load", "expected"), [(0.0, 8), (1.2, 7), (7.6, 1), (MANY, 1)])
@pytest.mark.usefixtures("cores")
def test_what_others_use_is_not_free_but_one_core_is_always_taken(tmp_path, load, expected):
    assert free_cores(tmp_path, load) == expected


def test_this_machine_has_a_core():
    assert free_cores() >= 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512_bf16 vaes\n", True),
        ("processor : 0\nflags\t\t: fpu avx2 amx_bf16\n", True),
        ("processor : 0\nFeatures\t: fp asimd bf16\n", True),
        ("processor : 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("", False),
    ],
)
def test_products_in_bfloat16_are_known_by_the_flags_of_the_processor(tmp_path, content, expected):
    assert has_bfloat16(write(tmp_path, {"proc/cpuinfo": content})) is expected


def test_without_a_word_of_the_processor_there_is_no_bfloat16(tmp_path):
    assert has_bfloat16(tmp_path) is False
