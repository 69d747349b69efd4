import os
import threading
import time
from pathlib import Path

import pytest

from saiseld.runtime import threads
from saiseld.runtime.threads import (
    ONE_BLAS_THREAD,
    cores_here,
    cpu_quota,
    in_threads,
    keep_to_quota,
    threads_here,
)


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order(threads: int) -> None:
    def slow_first(number: int) -> tuple[int, str]:
        time.sleep(0.01 if number % 3 == 0 else 0)
        return number, threading.current_thread().name

    found = list(in_threads(slow_first, range(40), threads))
    assert [number for number, _ in found] == list(range(40))
    own = threading.current_thread().name
    assert {name == own for _, name in found} == {threads == 1}


def test_items_are_read_no_further_ahead_than_they_are_taken() -> None:
    read = []

    def items():
        for number in range(1000):
            read.append(number)
            yield number

    results = in_threads(str, items(), 2)
    assert next(results) == "0"
    assert len(read) < 30
    results.close()
    assert len(read) < 30


def test_an_error_is_that_of_the_item() -> None:
    def fails(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number

    results = in_threads(fails, range(100), 2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)


def test_threads_are_those_asked_for_or_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_here() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 5}, raising=False)
    assert threads_here() == 2


def groups(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write control groups as Linux shows them; return their mount and those of this process."""
    for name, text in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "own").write_text(own)
    return folder / "cgroup", folder / "own"


V1 = "5:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/job\n"


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "max 100000"}, 4.0),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "800000 100000"}, 0.5),
        # In a container its group is the root of the mount, under another name outside.
        ("0::/kubepods/pod1\n", {"cpu.max": "200000 100000"}, 2.0),
        (V1, {"cpu/job/cpu.cfs_quota_us": "300000", "cpu/job/cpu.cfs_period_us": "100000"}, 3.0),
        (V1, {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, None),
        (
            V1,
            {"cpu,cpuacct/cpu.cfs_quota_us": "25000", "cpu,cpuacct/cpu.cfs_period_us": "1000"},
            25,
        ),
        ("0::/\n", {"cpu.max": "not numbers"}, None),
        ("0::/\n", {"cpu.max": "100000 0"}, None),
        ("nonsense\n", {"cpu.max": "100000 100000"}, None),
        ("0::/\n", {}, None),
    ],
)
def test_a_containers_quota_is_read(
    tmp_path: Path, own: str, files: dict[str, str], quota: float | None
) -> None:
    assert cpu_quota(*groups(tmp_path, own, files)) == quota


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path, tmp_path / "absent") is None


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (0.5, 1), (1.5, 2), (3.0, 3), (64.0, 8)])
def test_cores_are_those_of_the_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert cores_here() == threads_here() == cores
    for name in ONE_BLAS_THREAD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    keep_to_quota()
    found = [os.environ.get(name) for name in ONE_BLAS_THREAD]
    assert found == ([None, None, "7"] if quota is None else [str(cores), str(cores), "7"])
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads_here() == 5
