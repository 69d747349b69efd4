"""What a run tells while it trains: progress with time left, JSON lines, TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

LOG = "log.jsonl"
EVERY = 10
"""Steps that are averaged into one entry."""


class RunLog:
    """The open logs of a run; see `run_log`."""

    def __init__(self, folder: Path, progress: Progress, task: TaskID) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._progress, self._task = progress, task
        self._lines = (folder / LOG).open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"))
        self._steps: list[Mapping[str, float]] = []

    def step(self, number: int, epoch: int, values: Mapping[str, float]) -> None:
        """Note the losses of a step, counted over all epochs."""
        self._steps.append(values)
        if len(self._steps) == EVERY:
            means = {k: sum(step[k] for step in self._steps) / EVERY for k in values}
            self._steps.clear()
            self._write("train", number, epoch, means)
        self._progress.update(
            self._task, advance=1, description=f"epoch {epoch}, loss {values['loss']:.3f}"
        )

    def epoch(self, number: int, epoch: int, values: Mapping[str, float]) -> None:
        """Note the scores after an epoch, at the step where it ended."""
        self._write("select", number, epoch, values)
        scores = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        self._progress.console.print(f"epoch {epoch}: {scores}", markup=False, highlight=False)

    def close(self) -> None:
        """Close the files."""
        self._lines.close()
        self._board.close()

    def _write(self, kind: str, number: int, epoch: int, values: Mapping[str, float]) -> None:
        finite = {name: value if isfinite(value) else None for name, value in values.items()}
        entry = {"kind": kind, "epoch": epoch, "step": number, **finite}
        json.dump(entry, self._lines, allow_nan=False)
        self._lines.write("\n")
        self._lines.flush()
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, number)


@contextmanager
def run_log(folder: Path, done: int, total: int) -> Iterator[RunLog]:
    """Open the logs of a run that has done some of its steps; they are appended to."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        log = RunLog(folder, progress, progress.add_task("training", completed=done, total=total))
        try:
            yield log
        finally:
            log.close()
