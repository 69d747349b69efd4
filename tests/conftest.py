"""Golden scores, a quick system with a recording, and a way to run commands."""

from __future__ import annotations

import gc
import json
import os
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

from saiseld.formats.annotation import EnergyMask
from tests import GOLDEN
from tests.reference.perturbed_labels import perturbed, write_tree

# Where tests run in the background SIGINT is ignored, and so would it be by what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same on every machine: the same examples, however slow it is, and the CPU alone.
settings.register_profile(
    "saiseld", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("saiseld")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# As `make test` has it: how sums are rounded, and what is begun ahead, depends on threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
threadpool_limits(1, user_api="blas")

# Six thousand modules are imported before the first test: no collection of garbage looks at them.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def to_masks(annotations) -> list[EnergyMask]:
    return [
        EnergyMask(
            frame=a["metadata_frame_index"],
            instance_id=a["instance_id"],
            class_id=a["category_id"],
            segmentation=tuple(np.array(b, float).reshape(-1, 3) for b in a["segmentation"]),
            distance_cm=a["distance"],
            score=a.get("score"),
        )
        for a in annotations
    ]


@pytest.fixture(scope="session")
def golden():
    return json.loads((GOLDEN / "evaluation_expected.json").read_text())


@pytest.fixture(scope="session")
def golden_case():
    """Return (predictions, labels): recording to masks."""
    case = json.loads((GOLDEN / "evaluation_case.json").read_text())
    return tuple(
        {recording: to_masks(annotations) for recording, annotations in case[side].items()}
        for side in ("predictions", "ground_truth")
    )


@pytest.fixture(scope="session")
def small_case(golden_case):
    """Return (predictions, labels) of the first frames of two golden recordings."""
    return tuple(
        {name: [m for m in side[name] if m.frame < 10] for name in sorted(side)[:2]}
        for side in golden_case
    )


@pytest.fixture(scope="session")
def untrained(tmp_path_factory) -> Path:
    """A folder with ``rec.wav``, 3 frames of noise, and the weights of an untrained system."""
    from tests.untrained import write_noise, write_weights  # torch: not for tests without it

    folder = tmp_path_factory.mktemp("untrained")
    write_weights(folder)
    write_noise(folder / "rec.wav", 3)
    return folder


@pytest.fixture(scope="session")
def short_demo(tmp_path_factory) -> Path:
    """The first 2 of the packaged scene's 10 seconds, with its video and labels, as a folder."""
    from fractions import Fraction

    import av
    import soundfile

    from saiseld.data.video import open_video
    from saiseld.formats.annotation import read_annotations, write_annotations
    from saiseld.pipeline.weights import DEMO

    folder, frames = tmp_path_factory.mktemp("demo"), 20
    (scene,) = DEMO.glob("*.wav")
    audio, rate = soundfile.read(scene, dtype="float32")
    soundfile.write(folder / scene.name, audio[: frames * rate // 10], rate)
    with av.open(str(folder / scene.with_suffix(".mp4").name), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 360, 180, "yuv420p"
        for number, shown in zip(
            range(frames), open_video(scene.with_suffix(".mp4")), strict=False
        ):
            picture = av.VideoFrame.from_ndarray(shown, "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    (labels,) = DEMO.glob("*.json")
    kept = [mask for mask in read_annotations(labels) if mask.frame < frames]
    write_annotations(folder / labels.name, kept)
    return folder


@pytest.fixture(scope="session")
def judged_tree(tmp_path_factory) -> Path:
    """Candidates and labels of three rooms, whose errors are known; caches go to ``cache``."""
    return write_tree(tmp_path_factory.mktemp("judged"), perturbed, frames=24)


@pytest.fixture
def saiseld(monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """Run the command line and return its exit code and what it said, on one line."""
    from saiseld.cli.main import main

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["saiseld", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), " ".join("".join(capsys.readouterr()).split())

    return run


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    """Return the folder of the 48 golden cases, each with ``pred`` and ``gt``."""
    folder = tmp_path_factory.mktemp("cases")
    with tarfile.open(GOLDEN / "evaluation_cases.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder
