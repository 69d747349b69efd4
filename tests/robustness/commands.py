"""Every command that writes, on inputs so small that it takes a second or so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from saiseld.formats.annotation import write_annotations
from saiseld.formats.candidates import write_candidates
from saiseld.formats.events import Event, write_events
from tests.reference.perturbed_labels import perturbed
from tests.robustness.soak import Command
from tests.training.annotated_corpus import write_corpus, write_scenes
from tests.training.tiny_tree import make_tree

_SIMULATION = """
extends = "tiny"
seconds = 1
train = { recordings = 2, rooms = 1 }
test = { recordings = 1, rooms = 1 }
"""
_DETECTOR = """
extends = "compact"
epochs = 1
frames_per_epoch = 4
batch_size = 2
selection_frames = 2
checkpoint_minutes = 0
augmentation = {}
"""
_SELD = """
extends = "adapt"
steps = 2
batch_size = 2
fresh = 1
points = 16
selection_scenes = 1
selection_every = 1
"""


def commands(folder: Path) -> list[Command]:
    """Write the inputs into a folder and return the commands."""
    tree = make_tree(folder / "tree")
    sounds, candidates = str(tree / "mic_dev"), folder / "candidates"
    for room in range(3):
        name = f"fold4_room{room}_mix001"
        table, labels = perturbed(room, name, frames=6)
        known = np.random.default_rng(room).random(len(table)).astype(np.float32)
        write_candidates(
            candidates / f"{name}.candidates.parquet", replace(table, matchability=known)
        )
        heard = replace(table, branches=("audio",), branch=np.full(len(table), "audio"))
        write_candidates(folder / "audio" / f"{name}.candidates.parquet", heard)
        write_annotations(folder / "labels" / f"{name}_std.json", labels)
        write_annotations(
            folder / "predictions" / f"{name}.json", [replace(m, score=0.5) for m in labels]
        )
    noise = 0.1 * np.random.default_rng(0).standard_normal((7200, 32))
    for name in ("one", "two"):
        (folder / "em32").mkdir(exist_ok=True)
        soundfile.write(folder / "em32" / f"{name}.wav", noise, 24000)
        write_events(folder / "events" / f"{name}.csv", [Event(f, 1, 0, 30, 0) for f in range(3)])
    (folder / "simulation.toml").write_text(_SIMULATION)
    (folder / "detector.toml").write_text(_DETECTOR)
    (folder / "seld.toml").write_text(_SELD)
    corpus, scenes = write_corpus(folder / "corpus"), write_scenes(folder / "scenes")
    model, cache = str(folder / "model" / "m.skops"), ("--cache", "OUT/cache")
    train = ("train", "matchability", str(candidates), str(folder / "labels"), "--kind", "linear")
    make_model(Path(model))
    jobs = ("--jobs", "2")
    portfolio = [word for number in "1234" for word in ("--system", f"TASK3B_{number}")]
    return [
        Command("image", ("image", sounds, "-o", "OUT")),
        Command("image, 2 jobs", ("image", sounds, "-o", "OUT", *jobs), jobs=2),
        Command("features", ("features", sounds, "-o", "OUT")),
        Command("features, 2 jobs", ("features", sounds, "-o", "OUT", *jobs), jobs=2),
        Command("detect", ("detect", sounds, "-o", "OUT")),
        Command("emit", ("emit", str(candidates), "-o", "OUT", "--system", "TASK3B_4")),
        Command("emit dense", ("emit", str(candidates), "-o", "OUT", "--system", "dense")),
        Command("submit", ("submit", str(candidates), "-o", "OUT/submission.zip", *portfolio)),
        Command(
            "evaluate",
            ("evaluate", str(folder / "predictions"), str(folder / "labels"), "--json",
             "OUT/scores.json", "--report", "OUT/report", *cache),
        ),
        Command(
            "label",
            ("label", "--audio", str(folder / "em32"), "--events", str(folder / "events"),
             "-o", "OUT"),
        ),
        Command("calibrate", ("calibrate", str(candidates), "--model", model, "-o", "OUT")),
        Command("simulate", ("simulate", "-o", "OUT", "--recipe", str(folder / "simulation.toml"))),
        Command("train matchability", (*train, "-o", "OUT/m.skops", *cache)),
        Command(
            "train fusion",
            ("train", "fusion", str(candidates), str(folder / "audio"), str(folder / "labels"),
             "-o", "OUT/m.json"),
        ),
        Command(
            "train detector",
            ("train", "detector", "--data", str(tree), "-o", "OUT", "--recipe",
             str(folder / "detector.toml")),
            unsettled=("log.jsonl", "state.pt"),
        ),
        Command(
            "train seld",
            ("train", "seld", "--data", str(corpus), "-o", "OUT", "--recipe",
             str(folder / "seld.toml")),
            unsettled=("log.jsonl", "state.pt"),
            shares_memory=True,
        ),
        Command(
            "train all",
            ("train", "all", "--data", str(scenes), "-o", "OUT", "--seld-recipe",
             str(folder / "seld.toml")),
            unsettled=("log.jsonl", "state.pt", "stages.json", "index.html"),
            shares_memory=True,
        ),
        Command(
            "train uplam",
            ("train", "uplam", "-o", "OUT", "--lam-steps", "2", "--uplam-steps", "2", "--batch",
             "2", "--rooms", "1"),
            shares_memory=True,
        ),
    ]  # fmt: skip


def make_model(path: Path) -> None:
    """Fit the model that `calibrate` is given."""
    from saiseld.decision.detection_features import FEATURE_NAMES
    from saiseld.decision.matchability import Examples, fit

    rng = np.random.default_rng(0)
    rows = rng.random((200, len(FEATURE_NAMES)), np.float32)
    room = np.repeat(["a", "b"], 100)
    known = Examples(rows, rows[:, 0] > 0.5, rng.integers(0, 13, 200), room)
    fit(known, recordings=["x"], kind="linear").save(path)
