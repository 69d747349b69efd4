"""``python -m research.foreign_world``: make a foreign world; see README.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from research.foreign_world.world import (
    World,
    halves,
    make_world,
    read_world_recipe,
)

from saiseld.simulation.sounds.bank import ProceduralBank, SoundBank, read_bank
from saiseld.simulation.timelines import read_timelines


def main() -> None:
    """Parse and make."""
    parser = argparse.ArgumentParser(prog="research.foreign_world", description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--sofa", type=Path, required=True, help="EM32_Directivity.sofa")
    parser.add_argument("--timelines", type=Path, required=True, help="folder of event CSVs")
    parser.add_argument("--sounds", type=Path, help="a bank; its test side is used")
    parser.add_argument("--recipe", type=Path, default=Path(__file__).parent / "world.toml")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    bank: SoundBank = ProceduralBank()
    if given.sounds is not None:
        bank = halves(read_bank(given.sounds), given.sounds)
    recipe, timelines = read_world_recipe(given.recipe), read_timelines(given.timelines)
    world = World(recipe, given.sofa, timelines, bank)
    made, found = make_world(given.output, world, jobs=given.jobs)
    print(f"{made} recordings made, {found} found: {given.output}")


if __name__ == "__main__":
    main()
