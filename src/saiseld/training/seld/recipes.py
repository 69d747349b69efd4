"""Recipes of the SELD network, typed, read from TOML; the built-in ones lie beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from saiseld.conventions.taxonomy import CLASS_LEVELS_DB, NUM_CLASSES
from saiseld.runtime.recipe_files import RecipeModel
from saiseld.training.recipes import TrainingRecipe

Range = tuple[float, float]


class SceneRanges(RecipeModel):
    """What scenes are drawn from."""

    sources: tuple[float, ...] = (0.06, 0.32, 0.37, 0.20, 0.05)
    """How often 0, 1, 2, ... sources are in a scene; need not sum to 1."""
    class_weights: tuple[float, ...] = (1.0,) * NUM_CLASSES
    """How often each class is drawn."""
    interferers: float = Field(default=0.15, ge=0, le=1)
    """How often a scene holds a sound without a class, which nobody annotates, too."""
    same_class: float = Field(default=0.1, ge=0, le=1)
    """How often a further source is of a class that is there already."""
    procedural: float = Field(default=0.35, ge=0, le=1)
    """Share of procedural sounds."""
    moving: float = Field(default=0.35, ge=0, le=1)
    """Share of people who walk."""
    repeating: tuple[int, ...] = (0, 1, 2, 4, 5, 6, 8, 9, 11, 12)
    """Classes whose short sounds may be heard again and again."""
    level_db: tuple[float, ...] = CLASS_LEVELS_DB
    """Level of each class at 1 m over speech, and how much it is spread."""
    level_spread_db: float = Field(default=4.0, ge=0)
    speed_octaves: float = Field(default=0.15, ge=0)
    """Largest change of speed, and of pitch with it."""
    equaliser_db: float = Field(default=3.5, ge=0)
    """Spread of the gain of a source's octaves; of the recording's; of each capsule's."""
    room_equaliser_db: float = Field(default=2.5, ge=0)
    capsule_db: float = Field(default=0.5, ge=0)
    snr_db: Range = (6.0, 36.0)
    """Loudest source over diffuse noise."""
    noise_tilt_db: Range = (-6.0, 0.5)
    """Gain of the noise, an octave."""
    peak_db: Range = (-36.0, -0.5)
    """Of the recording, over full scale."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("class_weights", "level_db"):
            if len(getattr(self, name)) != NUM_CLASSES:
                raise ValueError(f"{name} needs {NUM_CLASSES} values, one a class")
        for name in ("sources", "class_weights"):
            values = getattr(self, name)
            if not values or min(values) < 0 or sum(values) <= 0:
                raise ValueError(f"{name} needs values of 0 or more, not all 0")
        if not all(0 <= class_id < NUM_CLASSES for class_id in self.repeating):
            raise ValueError(f"repeating needs classes of 0 to {NUM_CLASSES - 1}")
        return self


class RecordedRanges(RecipeModel):
    """How windows of recordings are drawn and varied."""

    balanced: float = Field(default=0.75, ge=0, le=1)
    """Share of windows drawn round a frame of a class, each class as often; the others are any."""
    sums: float = Field(default=0.3, ge=0, le=1)
    """Share to which the window of another moment of the same room is added."""
    sum_db: float = Field(default=6.0, ge=0)
    """Largest gain or loss of what is added."""
    equaliser_db: float = Field(default=2.0, ge=0)
    """Spread of the gain of the recording's octaves; of each capsule's."""
    capsule_db: float = Field(default=0.3, ge=0)
    noise_snr_db: Range = (25.0, 60.0)
    """Recording over noise of the capsules, each its own."""
    masked_bands: int = Field(default=2, ge=0)
    """Most bands that are masked in all channels alike, how wide, and how far down."""
    masked_octaves: float = Field(default=1.0, gt=0.2)
    masked_db: float = Field(default=30.0, ge=0)
    targets: Literal["events", "masks"] = "events"
    """Whether sources are where their events say, or where their masks have their energy."""


class LossWeights(RecipeModel):
    """Factors on the losses."""

    classes: float = Field(default=1.0, ge=0)
    maps: float = Field(default=1.0, ge=0)
    activity: float = Field(default=0.5, ge=0)
    distance: float = Field(default=0.1, ge=0)


class Recipe(TrainingRecipe):
    """Everything that decides a run, but for sounds, rooms, encoder and weights to start from."""

    package: ClassVar[str] = "saiseld.training.seld"
    renamed: ClassVar[Mapping[str, str]] = {
        "prior_rate": "encoder_lr_factor",
        "rise": "warmup_fraction",
        "average": "ema_decay",
        "held_back": "val_fraction",
        "loss_weights.anything": "activity",
    }

    steps: int = Field(ge=1)
    fresh: int = Field(ge=1)
    """New scenes of a batch; the others are earlier ones, turned or mirrored."""
    precision: Literal["no", "bf16"] = "bf16"
    """Of the arithmetic, where the processor has it."""
    encoder_lr_factor: float = Field(default=0.0, ge=0)
    """Factor on the learning rate of the pretrained encoder; 0 freezes it, and is much faster."""
    warmup_fraction: float = Field(default=0.06, ge=0, le=1)
    spectrum_dropout: float = Field(default=0.3, ge=0, le=1)
    """How often the network has to do without its own view of the spectrum."""
    points: int = Field(default=160, ge=16, le=484)
    """Random directions that a step's maps are compared at."""
    spread_deg: float = Field(default=9.0, gt=0)
    """Width of the bump that a source is in the maps."""
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    """Saved weights are an exponential moving average with this decay."""
    val_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Share of the sources of each class that are set aside for validation."""
    selection_scenes: int = Field(default=128, ge=1)
    selection_every: int = Field(default=100, ge=1)
    """Steps from one validation, after which the state is saved, to the next."""
    patience: int = Field(default=0, ge=0)
    """Validations without a better score after which a run ends; 0 for never."""
    real_share: float = Field(default=0.5, ge=0, le=1)
    """Share of recorded windows where there are recordings and sounds to mix."""
    scenes: SceneRanges = SceneRanges()
    recorded: RecordedRanges = RecordedRanges()
    loss_weights: LossWeights = LossWeights()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.fresh > self.batch_size:
            raise ValueError("fresh exceeds batch_size")
        return self


read_recipe = Recipe.read
