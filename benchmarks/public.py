"""Side by side with the public baseline of DCASE 2026 Task 3, in one run, on one thread.

    git clone https://github.com/iranroman/DCASE2026_Task3_SAISELD_baseline baseline
    python -m benchmarks.public baseline

Front end, detector (paper size, full precision) and the scorer of the baseline do the same work as
ours: random weights that both load, noise, and the packaged scene under several names. Processor
time of the best of three rounds, in turns; the largest differences of what comes out are printed
beside the ratios. The baseline's own packages (astropy, scikit-image, pycocotools) are needed;
those it only draws with are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import shutil
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, TypeVar

import numpy as np
import soundfile
import torch
import torchvision
from benchmarks.detector import random_detector

from saiseld.acoustics.export import write_uplam_graphs
from saiseld.acoustics.front_end import FrontEnd
from saiseld.acoustics.uplam import UpLAM
from saiseld.conventions.sphere import projection_table
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.data.recordings import open_recording
from saiseld.decision.selection import emittable
from saiseld.detector.detect import load_detector
from saiseld.detector.export import write_detector_graphs
from saiseld.evaluation import evaluate
from saiseld.formats.checkpoint import write_checkpoint
from saiseld.pipeline.weights import DEMO

T = TypeVar("T")
ROUNDS = 3
ONLY_FOR_DRAWING = ("mpl_toolkits.basemap", "librosa")
SOUND_FRAMES, PICTURES, BATCH, COPIES = 100, 8, 4, 4


def main() -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("baseline", type=Path, help="its folder")
    baseline = parser.parse_args().baseline
    sys.path.insert(0, str(baseline.resolve()))
    for name in ONLY_FOR_DRAWING:
        sys.modules[name] = types.ModuleType(name)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for measure in (front_end, detector, scoring):
        with TemporaryDirectory() as folder:
            measure(Path(folder))


def front_end(folder: Path) -> None:
    """Sound to acoustic images on the panorama, frame by frame there and in blocks here."""
    import acoustic_features
    import lam_model

    checkpoint, sound = folder / "uplam.pth", folder / "noise.wav"
    torch.save(lam_model.UpLAM(num_bands=9).double().state_dict(), checkpoint)
    weights = folder / "uplam.safetensors"
    uplam = UpLAM.load(checkpoint)
    write_checkpoint(weights, uplam.state_dict(), {"projection": "official"})
    write_uplam_graphs(uplam, weights, "official")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (SOUND_FRAMES * SAMPLES_PER_FRAME, 4))
    soundfile.write(sound, noise, SAMPLE_RATE, subtype="PCM_16")
    with _quiet():
        extractor = acoustic_features.AcousticFeatureExtractor(str(checkpoint))
    extractor.model.double()
    table, ours = projection_table("official"), FrontEnd(weights)

    def theirs() -> list[np.ndarray[Any, Any]]:
        return [extractor._compute_one_frame(str(sound), n).numpy() for n in range(SOUND_FRAMES)]

    def latent() -> list[np.ndarray[Any, Any]]:
        return [row for image in ours.images(open_recording(sound)) for row in image.latent]

    def here() -> list[np.ndarray[Any, Any]]:
        return [row[..., table] for row in latent()]

    (slow, maps), (fast, drawn), (faster, _) = _in_turns(theirs, here, latent)
    _tell("front end", SOUND_FRAMES, (slow, np.stack(maps)), (fast, np.stack(drawn)))
    print(f"front end without drawing, as our detector takes it: {slow / faster:.1f} x")


def detector(folder: Path) -> None:
    """Pictures and acoustic images to detections: of those that can be emitted, here."""
    plain = torchvision.models.detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    # Random numbers in place of a download.
    torchvision.models.WeightsEnum.get_state_dict = lambda *asked, **how: plain.state_dict()
    import model as public

    ours, weights = random_detector("paper"), folder / "detector.safetensors"
    network = public.EnergyInstanceModel(14).eval()
    network.load_state_dict(ours.state_dict(), strict=False)
    ours.save(weights)
    write_detector_graphs(ours, weights)
    rgb, latent = torch.rand(PICTURES, 3, 180, 360), torch.rand(PICTURES, 9, 484)
    maps = latent[..., torch.from_numpy(projection_table("official").astype(np.int64))]
    both = torch.cat([rgb, maps], dim=1)
    graphs = load_detector(weights)
    parts = [slice(first, first + BATCH) for first in range(0, PICTURES, BATCH)]

    def theirs() -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            found = [one for part in parts for one in network(list(both[part]))]
        return _likely(one["scores"].numpy() for one in found)

    def here() -> np.ndarray[Any, Any]:
        found = [
            one
            for part in parts
            for one in graphs.find(rgb[part].numpy(), latent[part].numpy(), keep=emittable)
        ]
        return _likely(one["scores"] for one in found)

    _tell("detector", PICTURES, *_in_turns(theirs, here))


def _likely(scores: Iterable[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return the scores above that from which the baseline lists detections."""
    listed = np.concatenate(list(scores))
    return listed[listed > 0.05]


def scoring(folder: Path) -> None:
    """The packaged scene's labels, under several names, as labels and as what was found."""
    (labels,) = DEMO.glob("*_std.json")
    tree, found = folder / "labels" / "dev-test", folder / "inference_outputs"
    tree.mkdir(parents=True)
    found.mkdir()
    told = json.loads(labels.read_bytes())
    for number, one in enumerate(told["annotations"]):
        one["score"] = 1 / (1 + number)
    for number in range(1, 1 + COPIES):
        shutil.copy(labels, tree / f"fold4_room{number}_mix001_std.json")
        path = found / f"fold4_room{number}_mix001_inference.json"
        path.write_text(json.dumps(told))
    spec = importlib.util.find_spec("evaluate")
    assert spec is not None and spec.loader is not None
    public = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(public)
    sys.argv = ["evaluate", "--exp_dir", str(folder), "--gt_root", str(tree), "--split", "dev-test"]

    def theirs() -> str:
        with _quiet() as said:
            public.main()
        return said.getvalue()

    def here() -> str:
        scores = evaluate(found, tree, "2026-04-02")
        return f"{scores.mask_mAP:.4f} {scores.mask_AP50:.4f} {scores.pearson_r:.4f}"

    (slow, told_there), (fast, told_here) = _in_turns(theirs, here)
    equal = all(value in told_there for value in told_here.split())
    print(
        f"scoring (2026-04-02): {slow:.2f} s there, {fast:.2f} s here: {slow / fast:.1f} x; "
        f"printed scores equal: {equal}"
    )


def _in_turns(*calls: Callable[[], T]) -> list[tuple[float, T]]:
    """Return the least processor time of each call, and what it returned."""
    runs = [[_timed(call) for call in calls] for _ in range(ROUNDS)]
    return [min(of_call, key=lambda run: run[0]) for of_call in zip(*runs, strict=True)]


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    begin = process_time()
    result = call()
    return process_time() - begin, result


def _tell(
    name: str,
    frames: int,
    there: tuple[float, np.ndarray[Any, Any]],
    here: tuple[float, np.ndarray[Any, Any]],
) -> None:
    difference = np.abs(there[1] - here[1]).max() / np.abs(there[1]).max()
    slow, fast = (1e3 * seconds / frames for seconds, _ in (there, here))
    print(
        f"{name}: {slow:.1f} ms a frame there, {fast:.1f} ms here: {slow / fast:.1f} x; "
        f"largest difference {difference:.1e} of the largest value"
    )


@contextmanager
def _quiet() -> Iterator[io.StringIO]:
    with redirect_stdout(io.StringIO()) as said:
        yield said


if __name__ == "__main__":
    main()
