"""Files that are whole or absent: write beside the target, then rename."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saiseld.runtime.errors import OutputError

PARTIAL_FILES = ".*.part.*"
"""Pattern of the temporary files that a killed process may leave behind."""


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that is renamed onto it when the block succeeds.

    The temporary name keeps the target's suffix (encoders choose a container by it) and starts with
    a dot, so that no reader takes it for a result. It is removed if the block fails.

    Raises
    ------
    OutputError
        If the folder cannot be written or the disk is full.
    """
    target = Path(target)
    temporary = target.with_name(f".{secrets.token_hex(4)}.part.{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True) if target.parent.is_dir() else None
        raise OutputError(
            target, expected="to write it", found=error.strerror or str(error)
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(target: str | Path, content: bytes) -> None:
    """Write ``content`` to ``target``, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def output_folder(folder: str | Path) -> Path:
    """Return ``folder``, made if absent; raise ``OutputError`` where it cannot be written."""
    folder = Path(folder)
    probe = folder / f".{secrets.token_hex(4)}.probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            folder, expected="a folder that can be written", found=error.strerror or str(error)
        ) from error
    return folder
