"""Work over many recordings: results by name, errors whole, other tasks' results kept."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.waiting import PATIENCE_S, wait_until
from threadpoolctl import threadpool_info, threadpool_limits

from saiseld.runtime.errors import AudioError, WorkError
from saiseld.runtime.parallel import run_all

assert np.ones(1)  # and its BLAS is loaded, in processes of tasks too


def _double(value: int) -> int:
    return 2 * value


def _fail(path: str) -> None:
    raise AudioError(path, place="channel 2", expected="sound", found="none", advice="Record again")


def _threads() -> str:
    return os.environ["OMP_NUM_THREADS"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_by_name_in_the_order_of_tasks(jobs):
    tasks = {name: (number,) for number, name in enumerate("cab")}
    assert list(run_all(_double, tasks, jobs=jobs).items()) == [("c", 0), ("a", 2), ("b", 4)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_arrive_whole(jobs):
    with pytest.raises(AudioError) as caught:
        run_all(_fail, {"a": ("a.wav",), "b": ("a.wav",)}, jobs=jobs)
    assert str(caught.value) == "a.wav: channel 2: expected sound, found none. Record again"
    assert caught.value.advice == "Record again"


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert set(run_all(_threads, {"a": (), "b": ()}, jobs=2).values()) == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def _blas_threads() -> int:
    return max(lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas")


@pytest.mark.parametrize("jobs", [1, 2])
def test_linear_algebra_has_one_thread_whatever_the_number_of_processes(jobs):
    with threadpool_limits(2, user_api="blas"):
        before = _blas_threads()
        found = run_all(_blas_threads, {"a": (), "b": ()}, jobs=jobs)
        assert found == {"a": 1, "b": 1}
        assert _blas_threads() == before


def test_no_tasks_no_results():
    assert run_all(_double, {}, jobs=2, title="nothing") == {}


SLOW = """
import pathlib, sys, time
from saiseld.runtime.parallel import run_all

def work(path):
    pathlib.Path(path).write_text("begun")
    time.sleep(3600)

if __name__ == "__main__":
    try:
        run_all(work, {name: (sys.argv[1] + name,) for name in "abcd"}, jobs=2, title="slow")
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.fixture
def slow_run(tmp_path: Path):
    """A run of four slow tasks, two of them begun."""
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, script, f"{tmp_path}/"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    begun = tmp_path / "a", tmp_path / "b"
    wait_until(lambda: process.poll() is not None or all(path.exists() for path in begun))
    assert process.poll() is None
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_ctrl_c_stops_at_once(slow_run, tmp_path: Path):
    os.killpg(slow_run.pid, signal.SIGINT)
    _, told = slow_run.communicate(timeout=PATIENCE_S)
    assert slow_run.returncode == 130
    assert "Traceback" not in told
    assert not (tmp_path / "d").exists()


def still_works(process: psutil.Process) -> bool:
    """Return whether a process is more than an entry that nobody has collected."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    "how", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_no_process_outlives_its_run(slow_run, how):
    children = psutil.Process(slow_run.pid).children(recursive=True)
    assert len(children) >= 2
    os.kill(slow_run.pid, how)
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
    assert not list(filter(still_works, alive))


def _import(ready: Path) -> None:
    ready.touch()
    try:
        time.sleep(3600)
    except KeyboardInterrupt:  # as numpy's C API has it
        print("Traceback of an import", file=sys.stderr, flush=True)
        raise ImportError("failed to import") from None


def test_a_process_that_is_stopped_says_nothing(tmp_path: Path, capfd):
    tasks = {"a": (tmp_path / "a",), "b": (tmp_path / "b",)}

    def stop_once_begun() -> None:
        wait_until(lambda: all(path.exists() for (path,) in tasks.values()))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop_once_begun).start()
    with pytest.raises(KeyboardInterrupt):
        run_all(_import, tasks, jobs=2)
    assert "Traceback" not in capfd.readouterr().err


def _is_without_ctrl_c() -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.skipif(sys.platform == "win32", reason="it has no masks of signals")
def test_the_first_process_never_sees_ctrl_c_while_it_starts():
    program = (
        "from tests.runtime.test_parallel import _is_without_ctrl_c\n"
        "from saiseld.runtime.parallel import run_all\n"
        "print(run_all(_is_without_ctrl_c, {'a': (), 'b': ()}, jobs=2))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.decode().strip() == "{'a': True, 'b': True}"


def _die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_process_is_told_by_its_recording():
    with pytest.raises(WorkError, match=r"^take2: its process ended .*SIGKILL.*--jobs") as caught:
        run_all(_die, {f"take{number}": (number,) for number in range(4)}, jobs=2)
    assert "\n" not in str(caught.value)


def test_tasks_that_run_when_another_fails_are_finished(tmp_path: Path):
    with pytest.raises(AudioError):
        run_all(_fail_or_write, {"a": (None,), "b": (tmp_path / "b",), "c": (None,)}, jobs=2)
    assert (tmp_path / "b").exists()


def _fail_or_write(path: Path | None) -> None:
    if path is None:
        raise AudioError("a.wav", expected="sound", found="none")
    time.sleep(0.5)
    path.write_text("done")
