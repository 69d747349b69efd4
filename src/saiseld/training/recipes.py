"""What the recipes of the detector and of the SELD network have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saiseld.runtime.recipe_files import RecipeModel


class TrainingRecipe(RecipeModel):
    """Everything that decides a run, but for its data and the weights to start from."""

    seed: int = 0
    batch_size: int = Field(ge=1)
    """Frames, or scenes, of a step and process."""
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    clip_norm: float = Field(default=2.0, gt=0)
    """Largest norm of the gradient; a larger one is scaled down."""
    warmup_fraction: float = Field(default=0.1, ge=0, le=1)
    """Share of all steps in which the learning rate rises, before it falls along a cosine."""
    selection_rooms: Literal["held_out", "dev_test"] = "held_out"
    """Where weights are selected: in rooms of dev-train set aside, or, as KIST2026 did, on dev-test
    after training on all of dev-train, which makes every score on dev-test optimistic."""
