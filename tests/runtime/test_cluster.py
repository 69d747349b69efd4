"""Work spread over two nodes: the same results and files as here, whatever is killed meanwhile."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.errors import raises
from tests.waiting import PATIENCE_S, wait_until

from saiseld.runtime.cluster import RETRIES, connected
from saiseld.runtime.errors import AudioError, DeviceError, WorkError
from saiseld.runtime.parallel import run_all

pytest.importorskip("ray", reason="ray is not installed: pip install 'saiseld[cluster]'")


@pytest.fixture(scope="module")
def nodes():
    """Two nodes on this machine, the first of which tests connect to: 14 s until they are there."""
    from ray.cluster_utils import Cluster

    lean = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    lean |= {"num_cpus": 1, "object_store_memory": 80 << 20}
    seen_dead = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
    before = signal.getsignal(signal.SIGTERM)
    made = Cluster(initialize_head=True, head_node_args={**lean, "_system_config": seen_dead})
    made.add_node(**lean)
    signal.signal(signal.SIGTERM, before)  # who connects to a cluster has not started it
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def cluster(nodes):
    with connected(nodes.address) as made:
        yield made


def _fail(path: str) -> None:
    raise AudioError(path, place="channel 2", expected="sound", found="none", advice="Record again")


def _around(name: str) -> tuple[str, str, str, bool]:
    logging.getLogger("saiseld.told").warning("%s is done", name)
    return (
        name,
        os.environ["OMP_NUM_THREADS"],
        os.environ["SAISELD_MAX_FRAMES"],
        Path(name).exists(),
    )


@pytest.mark.slow
def test_tasks_have_what_they_have_here(cluster, tmp_path, monkeypatch, caplog):
    """Arguments, one thread, settings, the folder of relative paths; and their messages come."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAISELD_MAX_FRAMES", "77")
    Path("b").touch()
    found = run_all(_around, {"b": ("b",), "a": ("a",)}, jobs=cluster)
    assert found == {"b": ("b", "1", "77", True), "a": ("a", "1", "77", False)}
    assert list(found) == ["b", "a"]
    assert {"a is done", "b is done"} <= set(caplog.messages)


@pytest.mark.slow
def test_errors_arrive_whole(cluster):
    with pytest.raises(AudioError) as caught:
        run_all(_fail, {"a": ("a.wav",), "b": ("a.wav",)}, jobs=cluster)
    assert str(caught.value) == "a.wav: channel 2: expected sound, found none. Record again"


@pytest.mark.slow
def test_no_tasks_no_results(cluster):
    assert run_all(_fail, {}, jobs=cluster, title="nothing") == {}


def _die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_an_error(cluster, caplog):
    with pytest.raises(WorkError, match=r"^take2: its worker was lost \(.*\), 4 times") as caught:
        run_all(_die, {"take2": (2,)}, jobs=cluster)
    assert "\n" not in str(caught.value)
    assert f"begun again, {RETRIES} of {RETRIES} times" in caplog.messages[-1]


@pytest.mark.slow
def test_another_version_is_one_error(cluster, monkeypatch):
    monkeypatch.setattr("saiseld.runtime.cluster.installed", lambda: {"saiseld": "9.9 (abc)"})
    with raises(DeviceError, "cluster", place="machine", expected="saiseld 9.9 (abc)"):
        run_all(_fail, {"a": ("a.wav",)}, jobs=cluster)


@pytest.mark.slow
def test_devices_are_those_of_the_cluster(cluster):
    assert cluster.device_of("auto") == "cpu"
    with raises(DeviceError, "cluster", expected="cuda", found="only cpu"):
        cluster.device_of("cuda")


@pytest.mark.parametrize(
    ("address", "told"),
    [("here", "expected local, or host:port, found 'here'"), ("127.0.0.1:1", "Connection refused")],
)
def test_a_cluster_that_is_not_there_is_one_error(saiseld, tmp_path, address, told):
    code, said = saiseld("evaluate", tmp_path, tmp_path, "--cluster", address)
    assert code == 2
    assert said.startswith("error: --cluster: ")
    assert told in said


def test_without_ray_the_extra_is_advised(saiseld, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, said = saiseld("evaluate", tmp_path, tmp_path, "--cluster", "local")
    assert (code, said) == (
        2,
        "error: --cluster: expected ray, found none. pip install 'saiseld[cluster]'",
    )


def _write(folder: Path, name: str) -> int:
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / f"{name}.first").write_text(name)
    time.sleep(0.02)
    (folder / f"{name}.last").write_text(name * 2)
    return len(name)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a path that one process alone has")
def test_files_come_back_from_a_machine_without_the_folder(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = Path(f"/proc/self/task/{os.getpid()}/cwd/out")
    mine.mkdir()
    assert run_all(_write, {n: (n,) for n in ("a", "bc")}, jobs=cluster, folder=mine) == {
        "a": 1,
        "bc": 2,
    }
    here = {str(p.relative_to("out")): p for p in Path("out").rglob("*") if p.is_file()}
    assert {name: path.read_text() for name, path in here.items()} == {
        "in/a.first": "a",
        "a.last": "aa",
        "in/bc.first": "bc",
        "bc.last": "bcbc",
    }
    # What says that a recording is done is written last.
    assert here["in/a.first"].stat().st_mtime_ns < here["a.last"].stat().st_mtime_ns


SLOW = """
import sys, time
from pathlib import Path
from saiseld.runtime.cluster import connected
from saiseld.runtime.parallel import run_all

def work(folder, name):
    import os
    (folder / name).write_text(str(os.getpid()))
    time.sleep(3600)

if __name__ == "__main__":
    try:
        with connected(sys.argv[1]) as cluster:
            run_all(work, {n: (n,) for n in "abcdefgh"}, jobs=cluster, folder=Path(sys.argv[2]))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.slow
def test_the_way_to_stop_stays_ours(cluster):
    """Ray leaves its own handler of SIGTERM otherwise."""
    assert signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.default_int_handler)


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_running(nodes, tmp_path):
    script, out = tmp_path / "slow.py", tmp_path / "out"
    script.write_text(SLOW)
    out.mkdir()
    run = subprocess.Popen(
        [sys.executable, script, nodes.address, out], stderr=subprocess.PIPE, text=True
    )
    try:

        def begun() -> list[Path]:
            return [p for p in out.iterdir() if p.suffix == "" and p.stat().st_size]

        wait_until(lambda: begun() or run.poll() is not None)
        workers = [psutil.Process(int(path.read_text())) for path in begun()]
        assert run.poll() is None and workers
        run.send_signal(signal.SIGINT)
        _, told = run.communicate(timeout=PATIENCE_S)
    finally:
        run.kill()
    assert run.returncode == 130
    assert "Traceback" not in told
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE_S)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def _image(folder: Path, name: str, killed: Path) -> str:
    if name == "7" and not killed.exists():
        killed.touch()
        (folder / ".0123abcd.part.json").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    (folder / f"{name}.json").write_text(name * 1000)
    return name


@pytest.mark.slow
def test_a_worker_and_a_node_are_lost_and_nothing_is_missing(nodes, cluster, tmp_path, caplog):
    """The last test: the second node is gone after it."""
    names = [str(number) for number in range(1, 21)]
    tasks = {name: (name, tmp_path / "killed") for name in names}
    done = []

    def on_done(name: str, result: str) -> None:
        done.append(name)
        if len(done) == 8:
            nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)

    for folder in ("there", "here"):
        (tmp_path / folder).mkdir()
    found = run_all(_image, tasks, jobs=cluster, folder=tmp_path / "there", on_done=on_done)
    assert found == {name: name for name in names}
    assert found == run_all(_image, tasks, folder=tmp_path / "here")
    assert sorted(done) == sorted(names)
    assert "7: its worker was lost" in " ".join(caplog.messages)
    there, here = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        for folder in ("there", "here")
    )
    assert there == here
    assert len(there) == 20
