"""Room responses to mix scenes with: a folder of rooms, read one response at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.limits import DISTANCE_CM

CHANNELS = 4
_COLUMNS = {
    "azimuth": (-180, 180),
    "elevation": (-90, 90),
    "distance_cm": (0, DISTANCE_CM.default),
    "path": (-1, 1 << 20),
    "scale": (0, 1e30),
}
"""What there is of each place, and within which limits."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a source may be: one position, or the points of a walk in order.

    Parameters
    ----------
    rows
        Of the room's responses.
    azimuth, elevation
        (n,) degrees.
    distance_cm
        (n,) centimetres.
    """

    rows: NDArray[np.intp]
    azimuth: NDArray[np.float32]
    elevation: NDArray[np.float32]
    distance_cm: NDArray[np.float32]

    @property
    def moves(self) -> bool:
        """Whether it is a walk."""
        return len(self.rows) > 1


class Room:
    """A room's places, in memory, and its responses, on disk.

    Raises
    ------
    DataError
        If the file is not one of responses.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with (
            refusing(DataError, self.path, "room responses (safetensors)"),
            safe_open(self.path, framework="np") as file,
        ):
            column = {name: file.get_tensor(name) for name in _COLUMNS}
            shape = file.get_slice("response").get_shape()
            self._check_columns(column)
        if len(shape) != 3 or shape[1] != CHANNELS or shape[0] != len(column["path"]):
            raise DataError(
                self.path,
                place="response",
                expected=f"shape ({len(column['path'])}, {CHANNELS}, samples)",
                found=f"shape {tuple(shape)}",
            )
        self._scale = column["scale"]
        walk = column["path"]
        standing = [np.array([row]) for row in np.flatnonzero(walk < 0)]
        walks = [np.flatnonzero(walk == number) for number in np.unique(walk[walk >= 0])]
        self.standing, self.walks = (
            [
                Place(
                    rows,
                    *(column[name][rows] for name in ("azimuth", "elevation", "distance_cm")),
                )
                for rows in group
            ]
            for group in (standing, walks)
        )

    def _check_columns(self, column: Mapping[str, NDArray[Any]]) -> None:
        count = len(column["path"])
        for name, (low, high) in _COLUMNS.items():
            values = column[name]
            right = values.shape == (count,) and ((values >= low) & (values <= high)).all()
            if not right or values.dtype.kind not in "fi":
                raise DataError(
                    self.path,
                    place=name,
                    expected=f"{count} numbers from {low:g} to {high:g}",
                    found="others",
                )

    def responses(self, rows: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float32]:
        """Return (n, 4, L) responses, the direct sound at its true delay.

        Raises
        ------
        DataError
            If one is not finite.
        """
        with (
            refusing(DataError, self.path, "room responses (safetensors)"),
            safe_open(self.path, framework="np") as file,
        ):
            whole = file.get_slice("response")
            parts = [whole[int(row) : int(row) + 1][0] for row in rows]
        scale = self._scale[np.asarray(rows)][:, None, None]
        with np.errstate(all="ignore"):  # what is not finite is told below
            found = np.asarray(np.stack(parts).astype(np.float32) * scale)
        if not np.isfinite(found).all():
            raise DataError(
                self.path, place="response", expected="finite numbers", found="NaN or infinity"
            )
        return found


def read_rooms(folder: str | Path) -> list[Room]:
    """Return the rooms of a folder, in name order.

    Raises
    ------
    DataError
        If there are none.
    """
    folder = Path(folder)
    paths = sorted(folder.glob("room_*.safetensors"))
    if not paths:
        raise DataError(
            folder,
            expected="room responses (room_*.safetensors)",
            found="none" if folder.is_dir() else "no such folder",
            advice="Make them with `saiseld responses`",
        )
    return [Room(path) for path in paths]
