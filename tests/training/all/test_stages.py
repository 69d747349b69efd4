"""Stages are done once, go on where they stopped, and never stand on what has changed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from saiseld.runtime.errors import OutputError, WorkError
from saiseld.runtime.files import only_run
from saiseld.training.all.stages import RECORD, Stage, run_command, run_stages


def stages(folder: Path) -> list[Stage]:
    one, two = folder / "run/one", folder / "two"
    return [
        Stage("first", (("make", str(one)),), (one,), {one: folder / "one"}),
        Stage("second", (("make", str(two)), ("look", str(two))), (two,)),
    ]


class Runner:
    """Writes a file for each ``make``; fails where it is told to."""

    def __init__(self, content: str = "a", fails: str = "") -> None:
        self.lines: list[tuple[str, ...]] = []
        self.content, self.fails = content, fails

    def __call__(self, arguments: Sequence[str]) -> None:
        if self.fails and self.fails in arguments[1]:
            raise WorkError("failed")
        self.lines.append(tuple(arguments))
        if arguments[0] == "make":
            path = Path(arguments[1])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.content)


def test_finished_stages_are_skipped(tmp_path) -> None:
    first, again = Runner(), Runner()
    records = run_stages(stages(tmp_path), tmp_path, first)
    assert [line[0] for line in first.lines] == ["make", "make", "look"]
    assert (tmp_path / "one").read_text() == "a"
    assert list(records) == ["first", "second"]
    assert run_stages(stages(tmp_path), tmp_path, again) == records
    assert again.lines == []
    stored = json.loads((tmp_path / RECORD).read_text())
    assert stored["second"]["commands"][0].startswith("saiseld make")


def test_a_run_that_failed_goes_on_from_there(tmp_path) -> None:
    with pytest.raises(WorkError):
        run_stages(stages(tmp_path), tmp_path, Runner(fails="two"))
    runner = Runner()
    run_stages(stages(tmp_path), tmp_path, runner)
    assert [line[0] for line in runner.lines] == ["make", "look"]


def test_what_was_made_from_what_is_no_more_is_made_anew(tmp_path) -> None:
    run_stages(stages(tmp_path), tmp_path, Runner())
    (tmp_path / "one").unlink()
    same = Runner()
    run_stages(stages(tmp_path), tmp_path, same)
    assert len(same.lines) == 1  # the same came of it: what followed stands
    (tmp_path / "one").unlink()
    other = Runner("b")
    run_stages(stages(tmp_path), tmp_path, other)
    assert len(other.lines) == 3


def test_what_follows_a_new_stage_is_made_anew(tmp_path) -> None:
    first, second = stages(tmp_path)
    run_stages([first, second], tmp_path, Runner())
    given = tmp_path / "given"
    given.write_text("weights")
    new = Stage("new", (), (), {given: tmp_path / "taken"})
    runner = Runner()
    run_stages([first, new, second], tmp_path, runner)
    assert [line[0] for line in runner.lines] == ["make", "look"]


@pytest.mark.parametrize(
    ("change", "place"), [("one", "first"), ("two", "second"), ("command", "second")]
)
def test_changed_results_and_other_commands_are_refused(tmp_path, change, place) -> None:
    run_stages(stages(tmp_path), tmp_path, Runner())
    planned = stages(tmp_path)
    if change == "command":
        planned[1] = Stage(
            "second", (("make", str(tmp_path / "two"), "--other"),), planned[1].makes
        )
    else:
        (tmp_path / change).write_text("changed")
    with pytest.raises(OutputError) as caught:
        run_stages(planned, tmp_path, Runner())
    assert caught.value.place == place


def test_a_command_that_makes_nothing_is_told(tmp_path) -> None:
    with pytest.raises(WorkError):
        run_stages(stages(tmp_path), tmp_path, lambda arguments: None)


def test_two_runs_in_one_folder_are_refused(tmp_path) -> None:
    with only_run(tmp_path), pytest.raises(OutputError):
        run_stages(stages(tmp_path), tmp_path, Runner())


def end(arguments: Sequence[str]) -> None:
    os._exit(int(arguments[0]))


@pytest.mark.parametrize(
    ("code", "error"), [("0", None), ("2", WorkError), ("130", KeyboardInterrupt)]
)
def test_a_command_ends_as_its_process_does(code, error) -> None:
    if error is None:
        run_command(end, [code])
    else:
        with pytest.raises(error):
            run_command(end, [code])
