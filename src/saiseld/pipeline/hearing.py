"""The ear beside the eye: what is heard, block by block, and both made one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from saiseld.data.recordings import Recording
from saiseld.decision.fusion import Fusion, fuse
from saiseld.formats.candidates import Candidates, joined
from saiseld.pipeline.hear import load_audio_branch
from saiseld.runtime.devices import Device
from saiseld.seld.decode import candidates


class HeardBlock(NamedTuple):
    """What the ear says of some frames in a row: the first one, how many, and its candidates."""

    start: int
    frames: int
    table: Candidates


class Hearing:
    """An ear and what it is worth.

    Parameters
    ----------
    ear, fusion
        Their files.
    device
        Where the ear runs.
    views
        How many ways it looks at a sound (`saiseld.seld.audio_branch.AudioBranch`); all if None.
    """

    def __init__(
        self, ear: Path, fusion: Path, device: Device = "cpu", *, views: int | None = None
    ) -> None:
        self.fusion = Fusion.load(fusion)
        loaded, self.digest = load_audio_branch(ear, device)
        self.ear = loaded if views is None else loaded.with_views(views)

    def blocks(self, recording: Recording) -> Iterator[HeardBlock]:
        """Yield what is heard in a recording, some frames at a time."""
        for heard in self.ear.blocks(recording.blocks()):
            made_by = {"weights": self.digest, "views": self.ear.views}
            (table,) = candidates(recording.name, recording.frames, [heard], made_by)
            yield HeardBlock(heard.start, len(heard), table)

    def alone(self, table: Candidates) -> Candidates:
        """Return the ear's candidates with the scores that they are worth."""
        return fuse(None, table, self.fusion)

    def reader(self, recording: Recording) -> Callable[[int], Candidates]:
        """Return a function that gives what is heard from where it was last asked to a frame."""
        blocks = self.blocks(recording)
        waiting: list[Candidates] = []
        heard_to = 0

        def until(frame: int) -> Candidates:
            nonlocal heard_to
            while heard_to < frame:
                block = next(blocks)
                waiting.append(block.table)
                heard_to = block.start + block.frames
            table = joined(waiting)
            waiting[:] = [table.take(table.frame >= frame)]
            return table.take(table.frame < frame)

        return until

    def together(
        self, eye: Candidates, ear: Candidates, start: int, pictured: NDArray[np.bool_]
    ) -> Candidates:
        """Return the candidates of both, of the ear alone in frames without a picture.

        Parameters
        ----------
        eye, ear
            Of the same frames.
        start
            The first of these.
        pictured
            (n,) whether there was a picture.
        """
        both = fuse(_where(eye, start, pictured), _where(ear, start, pictured), self.fusion)
        if pictured.all():
            return both
        alone = self.alone(_where(ear, start, ~pictured))
        return joined([both, alone]) if pictured.any() else alone


def _where(table: Candidates, start: int, wanted: NDArray[np.bool_]) -> Candidates:
    return table.take(wanted[table.frame - start])
