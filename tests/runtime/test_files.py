"""A file is whole or absent."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.errors import raises

from saiseld.runtime.errors import OutputError
from saiseld.runtime.files import (
    atomic_path,
    files_below,
    only_run,
    output_folder,
    temporary_folder,
    write_bytes,
)


def test_success_leaves_the_file_alone_in_its_folder(tmp_path: Path) -> None:
    write_bytes(tmp_path / "deep" / "a.txt", b"whole")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.txt"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_failure_keeps_the_former_file(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("former")
    with pytest.raises(failure), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise failure
    assert target.read_text() == "former"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with raises(OutputError, target, found="No space left"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with raises(OutputError, expected="a folder that can be written"):
        output_folder(tmp_path / "file" / "inner")


def test_what_a_killed_run_left_is_removed_and_what_a_live_one_writes_is_not(
    tmp_path: Path,
) -> None:
    dead = tmp_path / ".0123abcd.part.json"
    dead.write_text("half")
    (tmp_path / ".89abcdef.part").mkdir()
    script = """
import sys, time
from saiseld.runtime.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    print(temporary.name, flush=True)
    time.sleep(3600)
"""
    run = [sys.executable, "-c", script, str(tmp_path / "b.json")]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as live:
        assert live.stdout is not None
        writing = live.stdout.readline().strip()
        assert (tmp_path / writing).exists() and not dead.exists()
        write_bytes(tmp_path / "a.json", b"whole")
        assert {p.name for p in tmp_path.iterdir()} == {"a.json", writing}
        live.kill()
    remove = (
        "import sys; from saiseld.runtime.files import output_folder; output_folder(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", remove, tmp_path], check=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_second_run_in_a_folder_says_so(tmp_path: Path) -> None:
    with only_run(tmp_path), raises(OutputError, found="one that is still going on"):  # noqa: SIM117
        with only_run(tmp_path):
            pass
    with only_run(tmp_path) as folder:
        assert folder == tmp_path


def test_a_temporary_folder_goes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path) as folder:
        (folder / "a").write_text("")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_names_as_long_as_the_system_takes(tmp_path: Path) -> None:
    target = tmp_path / f"{'n' * 250}.json"
    write_bytes(target, b"whole")
    assert target.read_bytes() == b"whole"
    with raises(OutputError, found="too long"):
        write_bytes(tmp_path / f"{'n' * 251}.json", b"whole")
    with raises(OutputError, found="null byte"):
        write_bytes(tmp_path / "n\0.json", b"whole")


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with raises(OutputError, expected="a file to write"):
        write_bytes(tmp_path / "pipe", b"")


def test_a_new_file_may_be_read_as_the_user_has_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_an_encoder_that_fails_on_a_full_disk_in_its_own_words(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from saiseld.runtime.errors import OutputError
from saiseld.runtime.files import atomic_path
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with atomic_path(sys.argv[1]) as temporary:
        raise RuntimeError("stream writer failed")
except OutputError as error:
    sys.exit(str(error))
"""
    run = [sys.executable, "-c", script, str(tmp_path / "a.json")]
    told = subprocess.run(run, capture_output=True, text=True, check=False)
    assert told.stderr == f"{tmp_path}/a.json: expected to write it, found File too large\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("call", ["write_bytes(folder / 'a', b'')", "output_folder(folder)"])
def test_a_read_only_folder_is_one_clear_error(tmp_path: Path, call: str) -> None:
    script = f"""
import os, sys
from pathlib import Path
from saiseld.runtime.errors import OutputError
from saiseld.runtime.files import output_folder, write_bytes
folder = Path(sys.argv[1])
os.setuid(65534)
try:
    {call}
except OutputError as error:
    sys.exit(str(error))
"""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o555)
        run = [sys.executable, "-c", script, folder]
        told = subprocess.run(run, capture_output=True, text=True, check=False)
    assert told.stderr.count("\n") == 1 and "Permission denied" in told.stderr


def test_files_below_a_folder_are_found_once_though_links_run_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "b.wav").write_text("")
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "corpus")
    corpus = tmp_path / "corpus"
    (corpus / "inner").mkdir(parents=True)
    for name in ("a.wav", "._a.wav", "inner/c.wav"):
        (corpus / name).write_text("")
    (corpus / "inner" / "up").symlink_to(corpus)
    (corpus / "self").symlink_to("self")
    (corpus / "linked").symlink_to(tmp_path / "disk")
    found = [str(p.relative_to(corpus)) for p in files_below(corpus) if p.is_file()]
    assert found == ["a.wav", "inner/c.wav", "linked/b.wav"]
