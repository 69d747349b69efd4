"""What the SELD network is trained on, from folders.

Sounds to mix in simulated rooms, annotated recordings, or both; and a pretrained encoder.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saiseld.data.corpora import AnnotatedRecording, Corpus, open_corpus, read_corpus_map
from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import DataError
from saiseld.runtime.parallel import run_all
from saiseld.seld.encoders import PretrainedEncoder, read_encoder
from saiseld.seld.output import WINDOW_FRAMES
from saiseld.simulation.sounds.bank import read_bank
from saiseld.training.seld.mixing import Mixer, Scene, SceneSource
from saiseld.training.seld.recipes import Recipe
from saiseld.training.seld.recorded import (
    AnnotatedAudio,
    RecordedScenes,
    annotated_audio,
    fixed_scenes,
)
from saiseld.training.seld.responses import Room, read_rooms
from saiseld.training.seld.sounds import SoundPool, sound_pool
from saiseld.training.seld.windows import Shard, WindowMaker, shard_of

_SELECTION_SEED = 77
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Simulated:
    """Sounds and rooms to mix scenes of.

    Parameters
    ----------
    sounds
        Of which some sources are held back for selection.
    rooms, selection_rooms
        Different ones.
    """

    sounds: SoundPool
    rooms: list[Room]
    selection_rooms: list[Room]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Annotated recordings, of different rooms, to learn from and to select by."""

    train: list[AnnotatedAudio]
    select: list[AnnotatedAudio]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What to learn from and to select by: mixed scenes, recordings, or both.

    Parameters
    ----------
    simulated, recorded
        At least one of them. Where there are recordings, selection is by recordings alone.
    encoder
        Trained by others on far more sounds.
    encoder_name
        One of `saiseld.seld.encoders.ENCODERS`.
    provenance
        What they are. JSON values.
    """

    simulated: Simulated | None
    recorded: Recorded | None
    encoder: PretrainedEncoder
    encoder_name: str
    provenance: dict[str, Any]

    def training_windows(self, recipe: Recipe) -> WindowMaker:
        """Return what makes the new windows of each step."""
        real: SceneSource | None = None
        mixed: SceneSource | None = None
        if self.recorded is not None:
            real = RecordedScenes(self.recorded.train, recipe.recorded, WINDOW_FRAMES)
        if self.simulated is not None:
            train, _ = self.simulated.sounds.split(recipe.val_fraction)
            mixed = Mixer(train, self.simulated.rooms, recipe.scenes, WINDOW_FRAMES)
        scenes = real or mixed
        assert scenes is not None
        if real is not None and mixed is not None:
            scenes = Blend(real, mixed, recipe.real_share)
        return WindowMaker(scenes, self.encoder, recipe.fresh, (recipe.seed,))

    def selection_windows(self, recipe: Recipe) -> Callable[[int], Shard]:
        """Return what makes the windows to select by, shard 0."""
        if self.recorded is not None:
            return RecordedWindows(self.recorded.select, self.encoder, recipe.selection_scenes)
        assert self.simulated is not None
        _, select = self.simulated.sounds.split(recipe.val_fraction)
        mixer = Mixer(select, self.simulated.selection_rooms, recipe.scenes, WINDOW_FRAMES)
        return WindowMaker(mixer, self.encoder, recipe.selection_scenes, (_SELECTION_SEED,))


@dataclass(frozen=True, slots=True)
class Blend:
    """Draws recorded and mixed scenes, ``real_share`` of them recorded."""

    real: SceneSource
    mixed: SceneSource
    real_share: float

    def scene(self, rng: np.random.Generator) -> Scene:
        """Return a scene."""
        return (self.real if rng.random() < self.real_share else self.mixed).scene(rng)


@dataclass(frozen=True, slots=True)
class RecordedWindows:
    """Makes one shard of windows of recordings as they are."""

    recordings: list[AnnotatedAudio]
    encoder: PretrainedEncoder
    count: int

    def __call__(self, number: int) -> Shard:
        """Return the shard, whatever its number."""
        return shard_of(fixed_scenes(self.recordings, self.count, WINDOW_FRAMES), self.encoder)


def training_data(
    bank: Path | None,
    responses: Path | None,
    encoder_path: Path,
    cache: Path,
    *,
    dataset: Path | None = None,
    class_map: str = "starss",
    recipe: Recipe,
    jobs: int = 1,
) -> TrainingData:
    """Read all that a run needs.

    Parameters
    ----------
    bank
        Class folders; only its train side is used. None to mix nothing.
    responses
        Folder with ``train`` and ``valid`` rooms; None as the bank.
    encoder_path
        Weights of an encoder, or of a SELD network, whose encoder is taken.
    cache
        Folder for decoded sounds and recordings.
    dataset, class_map
        Corpus of annotated recordings, None to learn from none; and what its numbers mean, a
        built-in map or a TOML file (`saiseld.data.corpora.CorpusMap`).
    recipe
        Says in which rooms to select, and what the targets are.
    jobs
        Processes that decode.

    Raises
    ------
    DataError
        If there is nothing to learn from, or something cannot be used.
    """
    if (bank is None) != (responses is None):
        raise DataError(
            "bank and responses",
            expected="both, or neither",
            found="no bank" if bank is None else "no responses",
            advice="Sounds are mixed in rooms: give --bank and --responses together",
        )
    if bank is None and dataset is None:
        raise DataError(
            "data",
            expected="a data set of annotated recordings, or a bank with responses",
            found="neither",
        )
    name, encoder = read_encoder(encoder_path)
    provenance: dict[str, Any] = {"encoder": {"name": name, "digest": content_digest(encoder_path)}}
    simulated = recorded = None
    if bank is not None and responses is not None:
        rooms, selection_rooms = (read_rooms(responses / side) for side in ("train", "valid"))
        pool, digest = sound_pool(read_bank(bank), bank, cache, jobs=jobs)
        simulated = Simulated(pool, rooms, selection_rooms)
        provenance |= {
            "sounds": {"digest": digest, "clips": len(pool.clips)},
            "rooms": [len(rooms), len(selection_rooms)],
        }
    if dataset is not None:
        recorded, record = read_recorded(
            open_corpus(dataset, read_corpus_map(class_map)),
            recipe,
            cache / "recordings",
            jobs=jobs,
        )
        provenance["recordings"] = record
    return TrainingData(simulated, recorded, encoder, name, provenance)


def read_recorded(
    corpus: Corpus, recipe: Recipe, cache: Path, *, jobs: int = 1
) -> tuple[Recorded, dict[str, Any]]:
    """Read the recordings to learn from and to select by, and what is to be known of them."""
    roles = corpus_roles(corpus)
    if recipe.selection_rooms == "dev_test":
        dev_test = corpus.split("dev-test")
        if not dev_test:
            raise DataError(
                corpus.path,
                place="dev-test",
                expected='recordings to select by, as selection_rooms = "dev_test" says',
                found="none",
            )
        _log.warning("selection is on dev-test: every score there will be optimistic")
        roles = {"train": corpus.split("dev-train"), "select": dev_test, "calibrate": ()}
    tasks = {
        one.name: (one, corpus.mapping, cache, recipe.recorded.targets)
        for role in ("train", "select")
        for one in roles[role]
    }
    read = run_all(annotated_audio, tasks, jobs=jobs, title="reading recordings")
    sides = {role: [read[one.name] for one in roles[role]] for role in ("train", "select")}
    digest = hashlib.blake2b(digest_size=8)
    for one in (one for role in ("train", "select") for one in roles[role]):
        digest.update(f"{one.name} {one.room} {one.audio.stat().st_size}\n".encode())
        for path in (one.events, one.masks):
            digest.update(path.read_bytes() if path is not None else b"-")
    provenance = {
        "digest": digest.hexdigest(),
        "recordings": {role: len(found) for role, found in sides.items()},
        "rooms": {role: sorted({one.room for one in roles[role]}) for role in roles},
        "selected_on": "dev-test: optimistic"
        if recipe.selection_rooms == "dev_test"
        else "rooms of dev-train set aside",
    }
    return Recorded(**sides), provenance


def corpus_roles(corpus: Corpus, *, seed: int = 0) -> dict[str, tuple[AnnotatedRecording, ...]]:
    """Return dev-train by role, ``train``, ``select`` or ``calibrate``; no room has two.

    A sixth of the rooms each, at least one, is set aside to select and to calibrate, as
    `saiseld.data.stairs26.split_by_room` does.

    Raises
    ------
    DataError
        If there are fewer than three rooms.
    """
    development = corpus.split("dev-train")
    rooms = sorted({one.room for one in development})
    if len(rooms) < 3:
        raise DataError(
            corpus.path,
            place="dev-train",
            expected="three rooms or more, to train, to select and to calibrate",
            found=str(len(rooms)),
        )
    # By number where a room is one: the very rooms that the detector is selected in.
    rooms.sort(key=lambda room: hashlib.sha256(f"{seed}:{_number(room)}".encode()).digest())
    aside = max(1, len(rooms) // 6)
    role_of = dict.fromkeys(rooms[:aside], "select")
    role_of |= dict.fromkeys(rooms[aside : 2 * aside], "calibrate")
    return {
        role: tuple(one for one in development if role_of.get(one.room, "train") == role)
        for role in ("train", "select", "calibrate")
    }


def _number(room: str) -> str:
    number = room.removeprefix("room")
    return str(int(number)) if number.isdecimal() else room
