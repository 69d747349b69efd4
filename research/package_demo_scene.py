"""Copy the dev-test recording of a simulated tree into the package as its demo scene.

    saiseld simulate -o demo_tree --recipe research/demo_scene.toml --seed 2026
    python -m research.package_demo_scene demo_tree

Recipe, seed and this copy make the same scene again.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import soundfile

from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.data.recordings import read_audio
from saiseld.data.stairs26 import open_dataset
from saiseld.formats.annotation import LABEL_SUFFIX, read_annotations, write_annotations
from saiseld.pipeline.weights import PACKAGED


def main() -> None:
    """Copy the four capsules, the video and the labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    (scene,) = open_dataset(parser.parse_args().tree).split("dev-test")
    assert scene.audio and scene.video and scene.labels
    target = PACKAGED / "demo"
    target.mkdir(exist_ok=True)
    for old in target.iterdir():
        old.unlink()
    soundfile.write(target / f"{scene.name}.wav", read_audio(scene.audio), SAMPLE_RATE, "PCM_16")
    shutil.copy(scene.video, target / f"{scene.name}.mp4")
    masks = read_annotations(scene.labels)
    write_annotations(target / f"{scene.name}{LABEL_SUFFIX}", masks, energy_decimals=4)


if __name__ == "__main__":
    main()
