"""A system in torch, exported, images without torch; graphs and weights must belong together."""

import os
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from saiseld.acoustics.front_end import FrontEnd
from saiseld.acoustics.uplam import UpLAM
from saiseld.data.recordings import open_recording
from saiseld.data.video import open_video, rgb_planes
from saiseld.detector.graphs import GraphDetector
from saiseld.detector.model import Detector
from saiseld.formats import graph
from saiseld.formats.checkpoint import write_checkpoint
from saiseld.formats.graph import Graph, graph_path
from saiseld.pipeline.export import export_system, round_features
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import DEMO, PACKAGED, digests, find_weights
from saiseld.runtime.errors import CheckpointError

WITHOUT_TORCH = """
import sys
from saiseld.pipeline.imager import image
prediction = image(sys.argv[1], weights=sys.argv[2], device="cpu")
assert "torch" not in sys.modules
print(len(prediction.masks))
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "rec.wav"
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (11 * 2400, 4))
    soundfile.write(path, audio, 24000, subtype="FLOAT")
    return path


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained compact system with a context, UpLAM as a public file."""
    folder = tmp_path_factory.mktemp("given")
    torch.manual_seed(0)
    torch.save(UpLAM().state_dict(), folder / "uplam.pth")
    detector = Detector("compact", "official", context=1)
    torch.nn.init.normal_(detector.det.roi_heads.box_predictor.cls_score.weight, std=0.5)
    detector.save(folder / "detector.safetensors")
    return folder


@pytest.fixture(scope="module")
def exported(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    graphs = export_system(given, folder)
    assert sorted(path.name for path in graphs) == sorted(p.name for p in folder.glob("*.onnx"))
    assert all(path.stat().st_size < 200_000 for path in graphs)
    return folder


def test_the_exported_system_images_as_the_given_one(
    given: Path, exported: Path, recording: Path
) -> None:
    in_torch, without = Imager(given), Imager(exported)
    assert isinstance(in_torch.detector, Detector) and isinstance(without.detector, GraphDetector)
    opened = open_recording(recording)
    (expected,), (found,) = (list(imager.blocks(opened, [])) for imager in (in_torch, without))
    assert found.frames == expected.frames == 11
    np.testing.assert_array_equal(found.candidates.frame, expected.candidates.frame)
    np.testing.assert_array_equal(found.candidates.class_id, expected.candidates.class_id)
    np.testing.assert_allclose(found.candidates.score, expected.candidates.score, atol=1e-4)
    np.testing.assert_allclose(found.candidates.box, expected.candidates.box, atol=0.05)


def test_bytes_change_scores_a_little_and_say_so(tmp_path: Path) -> None:
    folder = tmp_path / "bytes"
    shutil.copytree(PACKAGED, folder)
    round_features(folder)
    graph = graph_path(folder / "detector.safetensors", "propose")
    assert graph.stat().st_size < 200_000  # no weights in there
    known, other = digests(find_weights(PACKAGED)), digests(find_weights(folder))
    assert {name for name in known if known[name] != other[name]} == {graph.name}
    (sound,) = DEMO.glob("*.wav")
    images = next(iter(FrontEnd(PACKAGED / "uplam.safetensors").images(open_recording(sound), 16)))
    rgb = rgb_planes(list(islice(open_video(sound.with_suffix(".mp4")), 16)))
    best = np.zeros((2, 16, 14), np.float32)
    for row, weights in enumerate((PACKAGED, folder)):
        found = GraphDetector(weights / "detector.safetensors").find(rgb, images.latent)
        for frame, own in enumerate(found):
            np.maximum.at(best[row, frame], own["labels"], own["scores"])
    assert 1e-4 < np.abs(best[0] - best[1]).mean() < 0.02
    assert np.corrcoef(best[0].ravel(), best[1].ravel())[0, 1] > 0.97


def test_threads_change_no_number(exported: Path, recording: Path) -> None:
    opened = open_recording(recording)
    one, three = (
        next(iter(Imager(exported, threads=n).blocks(opened, []))).candidates for n in (1, 3)
    )
    for name in ("frame", "score", "box", "energy_map"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def test_it_images_without_loading_torch(exported: Path, recording: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(recording), str(exported)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_nothing_is_reported_of_who_images(tmp_path: Path) -> None:
    """Some releases of ONNX Runtime keep a device's name for that."""
    program = "import saiseld, numpy; saiseld.image(audio=numpy.zeros((4800, 4), numpy.float32))"
    known = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "MPLCONFIGDIR")}
    subprocess.run([sys.executable, "-c", program], check=True, env=known | {"HOME": str(tmp_path)})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_weights_without_graphs_need_torch(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "has_torch", lambda: False)
    with pytest.raises(CheckpointError, match=r"uplam.pth: expected its graphs beside it, or"):
        Imager(given)


def test_graphs_of_other_weights_are_refused(exported: Path, tmp_path: Path) -> None:
    for file in exported.iterdir():
        shutil.copy(file, tmp_path)
    Detector("compact", "official", context=1).save(tmp_path / "detector.safetensors")
    with pytest.raises(CheckpointError, match=r"propose.onnx: weights: expected the graph of"):
        Imager(tmp_path)
    write_checkpoint(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=r"other.propose.onnx: expected a graph, found no"):
        Graph(tmp_path / "other.safetensors", "propose")


@pytest.mark.parametrize("content", [b"", b"\x08\x0a", bytes(range(256))])
def test_a_damaged_graph_is_named(content: bytes, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    write_checkpoint(weights, {"a": torch.zeros(1)}, {})
    graph_path(weights, "net").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"w.net.onnx: expected a graph of `saiseld export`"):
        Graph(weights, "net")


def test_added_beside_weights_that_stay_as_they_are(given: Path, tmp_path: Path) -> None:
    shutil.copy(given / "detector.safetensors", tmp_path)
    before = (tmp_path / "detector.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match=r"uplam: expected uplam.safetensors or uplam.pth"):
        export_system(tmp_path, tmp_path)
    assert (tmp_path / "detector.safetensors").read_bytes() == before
