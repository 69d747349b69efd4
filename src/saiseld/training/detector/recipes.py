"""How a detector is trained: typed recipes, read from TOML; the built-in ones lie beside this file.

``paper`` is the recipe of KIST2026, for a start from COCO weights, ``paper_public`` the same with
everything as the public recipe has it (Baseline2026); ``compact`` trains the compact size from
scratch on a CPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from saiseld.data.context import MAX_CONTEXT
from saiseld.data.video import Scaling
from saiseld.detector.architecture import Size
from saiseld.detector.targets import Targets
from saiseld.runtime.recipe_files import RecipeModel
from saiseld.training.recipes import TrainingRecipe

Share = Field(ge=0, le=1)


class Group(RecipeModel):
    """Parameters that are trained alike; a parameter belongs to the first group that fits it."""

    parameters: str
    """Regular expression that parameter names begin with."""
    rate: float = Field(default=1.0, ge=0)
    """Factor on the learning rate."""
    weight_decay: float | None = Field(default=None, ge=0)
    """In place of the recipe's."""
    from_epoch: int | Literal["never"] = 1
    """First epoch, counted from 1, in which they move."""

    @field_validator("parameters")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value

    def frozen_in(self, epoch: int) -> bool:
        """Return whether the group stands still in an epoch."""
        return self.from_epoch == "never" or epoch < self.from_epoch

    def begins_in(self, epoch: int) -> bool:
        """Return whether the group has stood still until an epoch, and moves in it."""
        return epoch > 1 and epoch == self.from_epoch


class Augmentation(RecipeModel):
    """Changes of a training frame; targets follow, over the seam too."""

    rgb_dropout: float = Field(default=0.0, ge=0, le=1)
    """Share of the frames whose whole picture becomes the ImageNet mean."""
    symmetries: tuple[str, ...] = ()
    """Symmetries of the array whose scenes are shown as often (`saiseld.conventions.symmetry`)."""
    rotation: bool = False
    """Turn the world about the vertical axis by any angle."""
    flip: float = Field(default=0.0, ge=0, le=1)
    """Share of the frames mirrored left to right."""
    rgb_jitter: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of the brightness of each colour."""


class LossWeights(RecipeModel):
    """Factors on the losses."""

    objectness: float = Field(default=1.0, ge=0)
    proposal_box: float = Field(default=1.0, ge=0)
    box_class: float = Field(default=1.0, ge=0)
    box: float = Field(default=1.0, ge=0)
    energy: float = Field(default=1.0, ge=0)
    field: float = Field(default=1.0, ge=0)
    distance: float = Field(default=1.0, ge=0)


class Recipe(TrainingRecipe):
    """Everything that decides a training run, but for the data and the weights to start from."""

    package: ClassVar[str] = "saiseld.training.detector"
    renamed: ClassVar[Mapping[str, str]] = {"rise": "warmup_fraction"}

    size: Size
    frozen_norms: bool = True
    """Keep the paper-size backbone's norms as the start weights have them (needs such weights)."""
    epochs: int = Field(ge=1)
    frames_per_epoch: int = Field(ge=1)
    sampling: Literal["balanced", "public"] = "balanced"
    """Draw classes evenly, or in proportion but never less than half of evenly (the public way)."""
    silent_share: float = Field(default=0.1, ge=0, le=1)
    """Share of frames without a sound among those drawn evenly; the public way has them as they
    come."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision, where the device has it; ``fp16`` on accelerators only."""
    schedule: Literal["plateau", "one_cycle"]
    """Halve the rate when selection does not improve, or warm up and fall along a cosine."""
    patience: int = Field(default=3, ge=0)
    """Epochs without improvement that a plateau bears."""
    plateau_restarts: bool = False
    """Go back to the full rate and measure improvement anew wherever a group begins to move."""
    balanced_loss: bool = True
    """Weight classes in the classification loss by the root of their rarity."""
    targets: Targets = "cylinder"
    """On the cylinder, boxes reach past the seam and energy is sampled there; the public recipe's
    boxes end one past the last pixel, are as wide as the picture on the seam, and energy is resized
    from whole pixels."""
    frame_scaling: Scaling = "bicubic"
    """How pictures of another size are scaled, in training and, as the weights say it, later."""
    context: int = Field(default=0, ge=0, le=MAX_CONTEXT)
    """Frames before and after each one that are heard with it."""
    groups: tuple[Group, ...] = ()
    augmentation: Augmentation = Augmentation()
    loss_weights: LossWeights = LossWeights()
    selection_frames: int = Field(default=1000, ge=1)
    """Frames of the selection rooms that every epoch is measured on."""
    checkpoint_minutes: float = Field(default=5.0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.batch_size > self.frames_per_epoch:
            raise ValueError("batch_size exceeds frames_per_epoch")
        if self.plateau_restarts and self.schedule != "plateau":
            raise ValueError("plateau_restarts needs the schedule plateau")
        return self


def shortened(recipe: Recipe, steps: int) -> Recipe:
    """Return a recipe of one epoch of so many steps (on one device)."""
    return recipe.model_copy(update={"epochs": 1, "frames_per_epoch": steps * recipe.batch_size})


read_recipe = Recipe.read
