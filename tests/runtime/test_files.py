"""A file is whole or absent."""

import errno
from pathlib import Path

import pytest

from saiseld.runtime.errors import OutputError
from saiseld.runtime.files import atomic_path, output_folder, write_bytes


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
    message = r"a\.txt: expected to write it, found No space left"
    with pytest.raises(OutputError, match=message), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="expected a folder that can be written"):
        output_folder(tmp_path / "file" / "inner")
