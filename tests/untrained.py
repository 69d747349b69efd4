"""Systems and recordings that are quick to make, for tests of what is done with them."""

from pathlib import Path

import numpy as np
import soundfile
import torch

from saiseld.acoustics.uplam import UpLAM
from saiseld.conventions.sphere import Projection
from saiseld.detector.model import Detector
from saiseld.formats.checkpoint import write_checkpoint


def write_front_end(folder: Path, projection: Projection = "great_circle") -> None:
    """Write the weights of an untrained UpLAM, always the same."""
    torch.manual_seed(0)
    path = folder / "uplam.safetensors"
    write_checkpoint(path, UpLAM().state_dict(), {"projection": projection})


def write_weights(folder: Path, projection: Projection = "great_circle") -> None:
    """Write the weights of an untrained compact system, always the same."""
    write_front_end(folder, projection)
    Detector("compact", projection).save(folder / "detector.safetensors", half=True)


def write_noise(path: Path, frames: int) -> Path:
    """Write a recording of noise in four channels, always the same, and return its path."""
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (frames * 2400, 4))
    soundfile.write(path, audio, 24_000, subtype="FLOAT")
    return path
