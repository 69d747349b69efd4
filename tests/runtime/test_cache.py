"""What the cache holds is what was made, or is made again."""

import os
from pathlib import Path

import pytest
from tests.errors import raises

from saiseld.runtime.cache import CHECKSUM_SUFFIX, cached, content_digest
from saiseld.runtime.errors import DataError, InputError, OutputError


class Counting:
    """Makes entries, and counts how often."""

    def __init__(self, source: Path, cache: Path) -> None:
        self.source, self.cache, self.made = source, cache, 0

    def make(self, path: Path) -> None:
        self.made += 1
        path.write_bytes(self.source.read_bytes() * 2)

    def get(self) -> bytes:
        return cached(self.cache, self.source, ".twice", self.make, Path.read_bytes)

    def entry(self) -> Path:
        return next(self.cache.glob("*.twice"))


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    (tmp_path / "source.txt").write_bytes(b"content")
    return Counting(tmp_path / "source.txt", tmp_path / "cache")


def test_an_entry_is_made_once_per_content(counting: Counting) -> None:
    assert counting.get() == counting.get() == b"contentcontent" and counting.made == 1
    counting.source.write_bytes(b"other")
    assert counting.get() == b"otherother" and counting.made == 2


@pytest.mark.parametrize("place", [0, 7, 13])
def test_an_altered_entry_is_made_again(counting: Counting, place: int) -> None:
    counting.get()
    content = bytearray(counting.entry().read_bytes())
    content[place] ^= 1
    counting.entry().write_bytes(content)
    assert counting.get() == b"contentcontent" and counting.made == 2


@pytest.mark.parametrize("suffix", [".twice", CHECKSUM_SUFFIX])
def test_an_entry_without_its_other_half_is_made_again(counting: Counting, suffix: str) -> None:
    counting.get()
    next(counting.cache.glob(f"*{suffix}")).unlink()
    assert counting.get() == b"contentcontent" and counting.made == 2


def test_the_end_of_a_large_entry_counts(counting: Counting) -> None:
    counting.source.write_bytes(bytes(1 << 26))
    counting.get()
    with counting.entry().open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"1")
    assert counting.get() == bytes(1 << 27) and counting.made == 2


def test_work_goes_on_without_a_cache(counting: Counting, caplog) -> None:
    counting.cache.write_text("a file where the folder should be")
    assert counting.get() == b"contentcontent"
    assert "going on without a cache" in caplog.text


def test_neither_cache_nor_temporary_folder_is_one_error(counting: Counting, monkeypatch) -> None:
    counting.cache.write_text("in the way")

    def nowhere() -> None:
        raise PermissionError

    monkeypatch.setattr("tempfile.TemporaryDirectory", nowhere)
    with raises(OutputError, expected="to write it"):
        counting.get()


def test_an_entry_of_another_version_is_made_again(counting: Counting) -> None:
    def read(path: Path) -> bytes:
        if counting.made < 2:
            raise DataError(path, expected="this version", found="another")
        return path.read_bytes()

    counting.get()
    content = cached(counting.cache, counting.source, ".twice", counting.make, read)
    assert content == b"contentcontent" and counting.made == 2


def test_sources_of_any_name(tmp_path: Path) -> None:
    counting = Counting(tmp_path / ("n" * 251 + ".txt"), tmp_path / "cache")
    counting.source.write_bytes(b"content")
    assert counting.get() == b"contentcontent"
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.write_bytes(b"content")
    assert content_digest(odd) != content_digest(counting.source)


def test_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected what can be read, found No such file"):
        content_digest(tmp_path / "none")
