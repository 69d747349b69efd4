"""The symmetries of the tetrahedral array: other scenes that the same recording could be of.

A rotation or reflection that maps the four capsules onto themselves turns what the array hears of
one scene, by a permutation of its channels, into exactly what it would hear of the turned or
mirrored scene: the sphere it sits on has all symmetries. Of the tetrahedron's 24, four keep up and
down: nothing, half a turn about the vertical axis, and the mirror planes through two capsules, at
azimuths of 45 and -45 degrees. The others need a picture that is upside down or lying on its side.
"""

from __future__ import annotations

from dataclasses import dataclass

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.sphere import angles_of_vector, great_circle


@dataclass(frozen=True, slots=True)
class Symmetry:
    """Azimuths become ``turn - azimuth`` if mirrored, else ``turn + azimuth``; elevations stay.

    Parameters
    ----------
    name
        What it is called.
    mirrored
        Whether left and right are swapped before turning.
    turn
        Degrees to the left.
    """

    name: str
    mirrored: bool
    turn: int

    @property
    def channels(self) -> tuple[int, ...]:
        """The channel of the recording that each channel of the other scene's recording is."""
        azimuth, elevation = angles_of_vector(eigenmike_xyz()[list(TETRAHEDRON)])
        moved = self.turn + (-azimuth if self.mirrored else azimuth)
        apart = great_circle(azimuth[:, None], elevation[:, None], moved, elevation)
        return tuple(int(channel) for channel in apart.argmin(axis=1))


IDENTITY = Symmetry("identity", mirrored=False, turn=0)

SYMMETRIES = {
    symmetry.name: symmetry
    for symmetry in (
        IDENTITY,
        Symmetry("half_turn", mirrored=False, turn=180),
        Symmetry("mirror_45", mirrored=True, turn=90),
        Symmetry("mirror_-45", mirrored=True, turn=-90),
    )
}
"""Those that keep up and down, by name."""
