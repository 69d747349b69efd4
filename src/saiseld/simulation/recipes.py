"""What to simulate: typed recipes, read from TOML; the built-in ones lie beside this file."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.runtime.recipe_files import RecipeModel

Range = tuple[float, float]


class HalfSize(RecipeModel):
    """How much of dev-train or dev-test there is."""

    recordings: int = Field(ge=1, le=10_000)
    rooms: int = Field(ge=1, le=500)


class Recipe(RecipeModel):
    """A simulated data set. Ranges are (lowest, highest), drawn from uniformly."""

    package: ClassVar[str] = "saiseld.simulation"

    seconds: float = Field(ge=1, le=600)
    """Length of a recording."""
    train: HalfSize
    test: HalfSize
    first_room: int = Field(default=1, ge=1)
    """Number of the first room, so that trees with rooms of their own can be put together."""
    room_length_m: Range
    room_width_m: Range
    room_height_m: Range
    rt60_s: Range
    walls: Literal["even", "materials"] = "even"
    """Walls that absorb all frequencies alike, or of materials (`rooms/walls.py`)."""
    snr_db: Range
    """Events (mean power while any sounds) over ambient noise."""
    distance_m: Range
    event_weights: tuple[float, ...]
    """How often each class starts an event, in class order; need not sum to 1."""
    event_seconds: tuple[Range, ...]
    """Shortest and longest event of each class."""
    level_db: tuple[float, ...]
    """Level of each class at 1 m over speech."""
    gap_s: tuple[float, ...]
    """Mean silence between events in each of the layers that may overlap."""
    moving: float = Field(ge=0, le=1)
    """Share of people that walk."""
    silent_objects: tuple[int, int]
    """Fewest and most objects that never sound."""
    timelines: bool = False
    """Who sounds when and where is replayed from timelines, which the command has to be given."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("event_weights", "event_seconds", "level_db"):
            if len(getattr(self, name)) != NUM_CLASSES:
                raise ValueError(f"{name} needs {NUM_CLASSES} values, one a class")
        ranges = {
            name: getattr(self, name)
            for name in (
                "room_length_m",
                "room_width_m",
                "room_height_m",
                "rt60_s",
                "snr_db",
                "distance_m",
                "silent_objects",
            )
        }
        ranges |= {f"event_seconds {i}": r for i, r in enumerate(self.event_seconds)}
        for name, (low, high) in ranges.items():
            if low > high or (low <= 0 and name not in ("snr_db", "silent_objects")):
                raise ValueError(f"{name} needs 0 < lowest <= highest, not {low}, {high}")
        if self.distance_m[0] < 0.4:
            raise ValueError("distance_m starts at 0.4 or more: nearer waves are not plane")
        if min(self.event_weights) < 0 or sum(self.event_weights) <= 0:
            raise ValueError("event_weights need to be 0 or more, not all 0")
        if not self.gap_s or min(self.gap_s) <= 0:
            raise ValueError("gap_s needs at least one positive value")
        return self


read_recipe = Recipe.read
