"""Files that are whole or absent: write beside the target, then rename.

What is being written is locked for as long as its process lives, so that the next run can tell what
a killed one left behind from what another run is still writing.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from saiseld.runtime.errors import OutputError, SaiseldError, message_of

if sys.platform != "win32":
    import fcntl

_PARTIAL = re.compile(r"\.[0-9a-f]{8}\.part(\..*)?")
_LONGEST_SUFFIX = 16
_LONGEST_NAME = 230  # bytes; file systems take 255
_PROBE_BYTES = 1 << 20
_LOCK = ".lock"

_swept: set[Path] = set()
_sweeping = True


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that is renamed onto it when the block succeeds.

    The temporary name keeps the target's suffix (encoders choose a container by it) and starts with
    a dot, so that no reader takes it for a result. It is removed if the block fails; if the process
    is killed, the next that writes into the folder removes it.

    Raises
    ------
    OutputError
        If the folder cannot be written, the disk is full, or the target is no file.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(target.stat().st_mode):
                raise OutputError(target, expected="a file to write", found="something else there")
        remove_leftovers(target.parent)
        temporary, lock = _begin(target)
    except (OSError, ValueError) as error:
        raise _unwritable(target, error) from error
    try:
        yield temporary
        if lock is not None:
            os.fsync(lock)
            # Some encoders write beside and rename in their turn, readable to the user alone.
            temporary.chmod(stat.S_IMODE(os.fstat(lock).st_mode))
        temporary.replace(target)
    except BaseException as error:
        # Encoders tell of a full disk in words of their own, so the disk itself is asked.
        foreign = isinstance(error, Exception) and not isinstance(error, SaiseldError)
        refusal = _refusal(temporary) if foreign else None
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) or refusal is not None:
            raise _unwritable(target, refusal or error) from error
        raise
    finally:
        if lock is not None:
            os.close(lock)


@contextmanager
def temporary_folder(parent: str | Path) -> Iterator[Path]:
    """Yield a folder in ``parent`` that is removed with all that is in it, however the run ends."""
    parent = output_folder(parent)
    folder = parent / _partial_name("")
    try:
        folder.mkdir()
        lock = _locked(os.open(folder, os.O_RDONLY)) if sys.platform != "win32" else None
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def only_run(folder: str | Path) -> Iterator[Path]:
    """Yield a folder that no other run may enter this way as long as the block lasts.

    Raises
    ------
    OutputError
        If another run is in it, or it cannot be written.
    """
    folder = output_folder(folder)
    if sys.platform == "win32":
        yield folder
        return
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        if _locked(descriptor) is None:
            raise OutputError(
                folder,
                expected="no other run in it",
                found="one that is still going on",
                advice="Wait for it to end, or choose another folder",
            )
        yield folder
    finally:
        os.close(descriptor)


@contextmanager
def run_number(folder: str | Path) -> Iterator[int]:
    """Yield a number, from 1, that no other run in a folder has while the block lasts.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    folder = output_folder(folder)
    if sys.platform == "win32":
        yield os.getpid()
        return
    number, lock = 0, None
    while lock is None:
        number += 1
        name = folder / f"{_LOCK}{number}"
        try:
            lock = _locked_file(name)
        except OSError as error:
            raise _unwritable(folder, error) from error
    try:
        yield number
    finally:
        with suppress(OSError):
            name.unlink()  # while it is locked: who opened it meanwhile finds another file there
        os.close(lock)


def _locked_file(name: Path) -> int | None:
    """Return the descriptor of a new or existing file, locked; None where another run has it."""
    while True:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
        lock = _locked(descriptor)
        if lock is None:
            os.close(descriptor)
            return None
        try:
            if os.path.samestat(os.fstat(lock), name.stat()):
                return lock
        except FileNotFoundError:
            pass
        os.close(lock)  # its owner removed it between opening and locking


def is_plain_name(name: str) -> bool:
    """Return whether a name can be that of a file and of the results named after it.

    No folder is in it, nothing that a terminal obeys, and no leading dot, which hides files; it is
    text, and leaves room for a suffix.
    """
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return False
    obeyed = any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name)
    return 0 < length <= _LONGEST_NAME and name[0] != "." and not (obeyed or set(name) & {*"/\\"})


def visible(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the paths whose names have no leading dot: that is what is being written, or a remark.

    (macOS leaves ``._take1.wav`` beside ``take1.wav`` on other systems' disks.)
    """
    return (path for path in paths if not path.name.startswith("."))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the visible files of a folder and of those in it, however deep.

    Linked folders too, for corpora lie on other disks, but each once: links may run in a circle.
    """
    walked: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in walked:
            folders.clear()
            continue
        walked.add(real)
        folders.sort()
        yield from visible(Path(parent, name) for name in sorted(names))


def write_bytes(target: str | Path, content: bytes) -> None:
    """Write ``content`` to ``target``, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_json(target: str | Path, content: Any) -> None:
    """Write JSON values (NumPy's among them) to ``target``, indented, whole or not at all."""
    write_bytes(target, indented_json(content))


def indented_json(content: Any) -> bytes:
    """Return JSON values (NumPy's among them) as text of two spaces a level."""
    return msgspec.json.format(msgspec.json.encode(content, enc_hook=_plain))


def _plain(value: Any) -> Any:
    """Return a NumPy array or scalar as the list or number of Python that it is."""
    if type(value).__module__ == "numpy":
        if value.dtype == "float32":  # its own digits, not those of its double
            value = value.astype("U32").astype("float64")
        return value.tolist()
    raise NotImplementedError(f"no JSON value: {type(value).__name__}")


def output_folder(folder: str | Path) -> Path:
    """Return ``folder``, made if absent, without what killed runs left in it.

    Raises
    ------
    OutputError
        Where it cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        probe = folder / _partial_name("")
        probe.touch()
        probe.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(
            folder, expected="a folder that can be written", found=message_of(error)
        ) from error
    return folder


def leave_leftovers() -> None:
    """Let this process remove nothing: other machines' locks may not be seen on this one."""
    global _sweeping
    _sweeping = False


def remove_leftovers(folder: Path, *, deep: bool = False, again: bool = False) -> None:
    """Remove what killed runs were writing into a folder; each process looks once.

    ``deep`` looks into the folders in it as well, ``again`` even if it has looked there before.
    """
    if not _sweeping:
        return
    for inner in [folder, *(filter(Path.is_dir, folder.rglob("*")) if deep else ())]:
        if inner in _swept and not again:
            continue
        _swept.add(inner)
        with os.scandir(inner) as entries:
            partial = [Path(entry) for entry in entries if _PARTIAL.fullmatch(entry.name)]
        for path in partial:
            with suppress(OSError):
                _remove_if_dead(path)


def _partial_name(suffix: str) -> str:
    return f".{secrets.token_hex(4)}.part{suffix if len(suffix) <= _LONGEST_SUFFIX else ''}"


def _begin(target: Path) -> tuple[Path, int | None]:
    """Return a new file beside the target and the descriptor that holds its lock."""
    while True:
        temporary = target.with_name(_partial_name(target.suffix))
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if sys.platform == "win32":  # an open file can neither be renamed nor removed there
            os.close(descriptor)
            return temporary, None
        lock = _locked(descriptor)
        # Another run may have taken it for a leftover before it was locked.
        if lock is not None and temporary.exists():
            return temporary, lock
        os.close(descriptor)


def _locked(descriptor: int) -> int | None:
    """Return the descriptor with its file locked, or None where another process has the lock."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError:
            pass  # a file system without locks: nothing is ever taken for a leftover there
    return descriptor


def _remove_if_dead(path: Path) -> None:
    if sys.platform == "win32":
        path.unlink()
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    finally:
        os.close(descriptor)


def _refusal(temporary: Path) -> OSError | None:
    """Return what the disk says to some more bytes, or None where it takes them."""
    try:
        with temporary.open("ab") as file:
            file.write(bytes(_PROBE_BYTES))
    except OSError as error:
        return error
    return None


def _unwritable(target: Path, error: BaseException) -> OutputError:
    return OutputError(target, expected="to write it", found=message_of(error))
