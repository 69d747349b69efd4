"""A system that is quick: it says of each frame what its samples and its picture say."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.decision.fusion import EVIDENCE
from saiseld.decision.systems import DecisionModels, system_named
from saiseld.formats.candidates import MAP_SIZE
from saiseld.formats.features import AcousticImages
from saiseld.seld.output import MAPS, ROWS

SILENT, LOUD = 0.0, 0.1


class FakeAudioBranch:
    """Finds a class as far as a frame is loud, from everywhere alike: the peak is the first."""

    tta = 1
    recognition = None

    def with_tta(self, tta):
        return self

    def window(self, audio, /, *, last=None):
        frames = audio.shape[1] // SAMPLES_PER_FRAME
        loud = np.abs(audio[:, : frames * SAMPLES_PER_FRAME]).reshape(4, frames, -1).max((0, 2))
        said = np.zeros((frames, ROWS + MAPS + NUM_CLASSES), np.float32)
        said[:, 3] = said[:, ROWS + 3 * 484] = np.minimum(loud * 5, 0.9)
        return said if last is None else said[-last:]


class FakeFusion:
    """The detector's own score where both branches are asked, else the audio branch's."""

    toward_detector = 1.0
    extent = None

    def model(self, available):
        names = list(EVIDENCE[available])

        def odds(evidence):
            if available == "audio":
                return evidence[:, names.index("audio")]
            missing = evidence[:, names.index("detector_missing")] > 0
            return np.where(missing, -7.0, evidence[:, names.index("detector")])

        return SimpleNamespace(odds=odds)


class FakeDetector:
    """Finds one thing in each frame; its score is the picture's first value."""

    size, projection = "compact", "great_circle"

    def __init__(self, context: int) -> None:
        self.context = context
        self.latents: list[np.ndarray] = []

    def find(self, rgb, latent, *, keep=None):
        self.latents += list(latent[:, :, 0])
        return [
            {
                "boxes": np.array([[100, 80, 120, 100]], np.float32),
                "labels": np.array([8]),
                "scores": picture[:1, 0, 0].astype(np.float32),
                "measured": np.ones(1, bool),
                "energy_maps": np.ones((1, MAP_SIZE, MAP_SIZE), np.float32),
                "distances": np.full(1, 0.4, np.float32),
            }
            for picture in rgb
        ]


class FakeFrontEnd:
    def images_of_block(self, audio):
        count = len(audio) // SAMPLES_PER_FRAME
        latent = np.broadcast_to(audio[::SAMPLES_PER_FRAME, :1, None], (count, 9, 484)).astype(
            np.float32
        )
        return AcousticImages(latent, np.ones(count, np.float32), np.ones(count, np.float32))


class FakeNetworks:
    def __init__(self, context: int, threads: int = 1) -> None:
        self.threads = threads
        self.detector, self.front_end = FakeDetector(context), FakeFrontEnd()
        self.audio = FakeAudioBranch()
        self.decision_models = DecisionModels(FakeFusion())

    def load(self, branches):
        pass

    def calibrated(self, table):
        return table

    def audio_with(self, *, video):
        return self.audio

    def provenance(self, branches, *, video):
        return {"imager": "engine"}


class FakeImager:
    def __init__(self, system: str = "audiovisual", context: int = 0) -> None:
        self.default_system = system_named(system)
        self.networks = FakeNetworks(context)


def sound(frames: int, level: float = LOUD) -> np.ndarray:
    """Return (n, 4) samples, constant in each frame, of which the first tells its number."""
    audio = np.full((frames, SAMPLES_PER_FRAME, 4), level, np.float32)
    audio[:, 0] = np.arange(frames)[:, None] / 100_000
    return audio.reshape(-1, 4)


def picture(value: int) -> np.ndarray:
    """Return a (180, 360, 3) picture of one grey above another."""
    rgb = np.full((180, 360, 3), value, np.uint8)
    rgb[90:] = 255 - value
    return rgb


def push_all(stream, audio: np.ndarray, size: int, *, rate: int = SAMPLE_RATE) -> list:
    """Push a recording in blocks as if in real time, from time 0 on, and close."""
    frames = []
    for at in range(0, len(audio), size):
        block = audio[at : at + size]
        frames += stream.push(block, (at + len(block)) / rate)
    return frames + stream.close()
