"""Stages of work that are done once: command lines, what they make, and a record of them.

A stage is finished when its commands have ended and what they make is there. The record, beside the
results, says by which commands and in what time; a stage whose record and files stand is skipped,
one whose files have changed since is refused, for later stages were made from them.
"""

from __future__ import annotations

import logging
import multiprocessing
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import OutputError, WorkError, refusing
from saiseld.runtime.files import atomic_path, indented_json, only_run, write_bytes
from saiseld.runtime.parallel import die_with_parent

RECORD = "stages.json"
STOPPED = 130
"""Exit code of a command that was stopped."""
_WITHOUT_EFFECT = ("--jobs", "--device")
"""Options with a value that results do not depend on: a run may go on with others."""
_log = logging.getLogger(__name__)

Entry = Callable[[Sequence[str]], None]
"""Runs ``saiseld`` with arguments."""


@dataclass(frozen=True)
class Stage:
    """A piece of work.

    Parameters
    ----------
    name
        What it is called.
    commands
        Arguments of ``saiseld``, one command line after the other.
    makes
        Files and folders that are there afterwards.
    copies
        Of what they make, what is copied where.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    makes: tuple[Path, ...]
    copies: Mapping[Path, Path] = field(default_factory=dict)

    @property
    def results(self) -> tuple[Path, ...]:
        """All that is there afterwards."""
        return (*self.makes, *self.copies.values())


class StageRecord(msgspec.Struct, frozen=True):
    """What is known of a finished stage.

    Parameters
    ----------
    commands
        As they were run.
    seconds
        That they took.
    digests
        Of the files that it made, by their place in the folder.
    """

    commands: list[str]
    seconds: float
    digests: dict[str, str]


def run_stages(
    stages: Sequence[Stage], folder: str | Path, run: Callable[[Sequence[str]], None]
) -> dict[str, StageRecord]:
    """Run the stages that are not finished, in order; return the record of each.

    Parameters
    ----------
    stages
        What to do.
    folder
        Where the record is kept.
    run
        Runs a command line, such as `run_command` with an entry.

    Raises
    ------
    OutputError
        If what a finished stage made has changed, or it was made by another command.
    WorkError
        If a command fails.
    """
    with only_run(folder) as folder:
        return _run(stages, folder, run)


def _run(
    stages: Sequence[Stage], folder: Path, run: Callable[[Sequence[str]], None]
) -> dict[str, StageRecord]:
    path = folder / RECORD
    records = _read(path)
    for number, stage in enumerate(stages, start=1):
        lines = [shlex.join(("saiseld", *command)) for command in stage.commands]
        found = records.get(stage.name)
        if found is not None and _stands(stage, found, lines, folder):
            _log.info("%d of %d: %s: done", number, len(stages), stage.name)
            continue
        begun = time.monotonic()
        for command, line in zip(stage.commands, lines, strict=True):
            _log.info("%d of %d: %s: %s", number, len(stages), stage.name, line)
            run(command)
        _place(stage)
        seconds = round(time.monotonic() - begun, 1)
        records[stage.name] = StageRecord(lines, seconds, _digests(stage, folder))
        if found is None or found.digests != records[stage.name].digests:
            for later in stages[number:]:  # they were made from what is no more
                records.pop(later.name, None)
        write_bytes(path, indented_json(records) + b"\n")
    return {stage.name: records[stage.name] for stage in stages}


def run_command(entry: Entry, arguments: Sequence[str]) -> None:
    """Run a command line in a process of its own, which ends with this one.

    Parameters
    ----------
    entry
        A function of a module, which runs ``saiseld`` with the arguments it is given.
    arguments
        Of ``saiseld``.

    Raises
    ------
    WorkError
        If it fails; it has said why.
    KeyboardInterrupt
        If it was stopped.
    """
    process = multiprocessing.get_context("spawn").Process(
        target=_in_child, args=(entry, tuple(arguments))
    )
    process.start()
    try:
        process.join()
    except BaseException:
        process.terminate()
        process.join()
        raise
    if process.exitcode in (STOPPED, -signal.SIGINT):
        raise KeyboardInterrupt
    if process.exitcode:
        raise WorkError(f"saiseld {shlex.join(arguments)}: ended with exit code {process.exitcode}")


def _in_child(entry: Entry, arguments: tuple[str, ...]) -> None:
    die_with_parent()
    entry(arguments)


def _place(stage: Stage) -> None:
    for path in (*stage.makes, *stage.copies):
        if not path.exists():
            raise WorkError(f"{stage.name}: expected {path}, which is not there")
    for source, target in stage.copies.items():
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


def _stands(stage: Stage, record: StageRecord, lines: list[str], folder: Path) -> bool:
    """Return whether a finished stage needs no work; refuse one that something changed."""
    if any(not path.exists() for path in stage.results):
        return False
    if [_essence(line) for line in record.commands] != [_essence(line) for line in lines]:
        raise OutputError(
            folder / RECORD,
            place=stage.name,
            expected=f"the command it was made by, {'; '.join(record.commands)}",
            found="; ".join(lines),
            advice="Choose another output folder, or take this stage's results away",
        )
    now = _digests(stage, folder)
    for name, digest in record.digests.items():
        if now.get(name) != digest:
            raise OutputError(
                folder / name,
                place=stage.name,
                expected="the file that this stage made",
                found="another",
                advice="Later stages were made from it: take it away to make it and them anew",
            )
    return True


def _essence(line: str) -> list[str]:
    """Return the words of a command line that its results depend on."""
    words = shlex.split(line)
    pairs = zip(words, ["", *words], strict=False)
    return [
        word
        for word, before in pairs
        if word not in _WITHOUT_EFFECT and before not in _WITHOUT_EFFECT
    ]


def _digests(stage: Stage, folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder) if path.is_relative_to(folder) else path): content_digest(path)
        for path in stage.results
        if path.is_file()
    }


def _read(path: Path) -> dict[str, StageRecord]:
    if not path.is_file():
        return {}
    with refusing(OutputError, path, "a record of stages"):
        return msgspec.json.decode(path.read_bytes(), type=dict[str, StageRecord])
