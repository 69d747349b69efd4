"""A system in torch, exported, images without torch; graphs and weights must belong together."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tests.errors import raises

from saiseld.acoustics.uplam import UpLAM
from saiseld.data.recordings import open_recording, read_audio
from saiseld.decision.systems import SYSTEMS, ranked
from saiseld.detector.graphs import GraphDetector
from saiseld.detector.model import Detector
from saiseld.formats import graph
from saiseld.formats.candidates import read_provenance
from saiseld.formats.checkpoint import write_checkpoint
from saiseld.formats.graph import Graph, graph_path
from saiseld.pipeline.export import export_system
from saiseld.pipeline.image import image_recordings
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.networks import NetworkOptions, is_precise, load_networks
from saiseld.pipeline.results import Results, read_run_record
from saiseld.pipeline.weights import DEMO, find_weights
from saiseld.runtime.errors import CheckpointError, DeviceError, OutputError

WITHOUT_TORCH = """
import sys
from saiseld import image
prediction = image(sys.argv[1], device="cpu")
assert "torch" not in sys.modules
print(len(prediction.masks))
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "rec.wav"
    audio, rate = soundfile.read(next(DEMO.glob("*.wav")), frames=11 * 2400)
    soundfile.write(path, audio, rate, subtype="FLOAT")
    return path


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained compact system with a context, UpLAM as a public file."""
    folder = tmp_path_factory.mktemp("given")
    torch.manual_seed(0)
    torch.save(UpLAM(torch.float64).state_dict(), folder / "uplam.pth")
    detector = Detector("compact", "official", context=1)
    torch.nn.init.normal_(detector.det.roi_heads.box_predictor.cls_score.weight, std=0.5)
    detector.save(folder / "detector.safetensors")
    return folder


@pytest.fixture(scope="module")
def exported(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, examples = (tmp_path_factory.mktemp(name) for name in ("exported", "examples"))
    sound, rate = soundfile.read(next(DEMO.glob("*.wav")), frames=4 * 2400)
    soundfile.write(examples / "short.wav", sound, rate)
    shutil.copy(next(DEMO.glob("*.mp4")), examples / "short.mp4")
    graphs = export_system(given, folder, examples=examples / "short.wav")
    assert sorted(path.name for path in graphs) == sorted(p.name for p in folder.glob("*.onnx"))
    assert all(path.stat().st_size < 200_000 for path in graphs)
    return folder


def test_wide_numbers_are_not_written_over_in_place(tmp_path: Path) -> None:
    wide = tmp_path / "uplam.safetensors"
    write_checkpoint(wide, UpLAM(torch.float64).state_dict(), {"projection": "official"})
    Detector("compact", "official").save(tmp_path / "detector.safetensors")
    before = wide.read_bytes()
    with raises(CheckpointError, place="key ", found="torch.float64"):
        export_system(tmp_path, tmp_path)
    assert wide.read_bytes() == before


@pytest.mark.slow
def test_the_exported_system_images_as_the_given_one(
    given: Path, exported: Path, recording: Path
) -> None:
    in_torch, without = (Imager(folder, device="cpu", precise=True) for folder in (given, exported))
    assert isinstance(in_torch.networks.detector, Detector) and isinstance(
        without.networks.detector, GraphDetector
    )
    opened = open_recording(recording)
    (expected,), (found,) = (list(imager.blocks(opened)) for imager in (in_torch, without))
    assert found.frames == expected.frames == 11
    np.testing.assert_array_equal(found.candidates.frame, expected.candidates.frame)
    np.testing.assert_array_equal(found.candidates.class_id, expected.candidates.class_id)
    np.testing.assert_allclose(found.candidates.score, expected.candidates.score, atol=1e-4)
    np.testing.assert_allclose(found.candidates.box, expected.candidates.box, atol=0.05)


def test_int8_scores_differ_a_little_from_full_precision() -> None:
    (sound,) = DEMO.glob("*.wav")
    recording, video = read_audio(sound)[: 8 * 2400], sound.with_suffix(".mp4")
    best = {}
    for precise in (True, False):
        table = Imager(device="cpu", precise=precise).detect(recording, video, sample_rate=24_000)
        for name in ("TASK3B_3", "audiovisual"):
            rows = ranked(table, SYSTEMS[name])
            score = best[precise, name] = np.zeros((table.frames, 13), np.float32)
            np.maximum.at(score, (rows.frame, rows.class_id), rows.score)
    for name in ("TASK3B_3", "audiovisual"):
        one, other = best[True, name], best[False, name]
        assert 1e-4 < np.abs(one - other).mean() < 0.02
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.97


def test_int8_is_the_default_where_its_graphs_are(given: Path, tmp_path: Path) -> None:
    packaged = find_weights().folder
    assert Imager(packaged, device="cpu").networks.precision == "int8"
    assert Imager(packaged, device="cpu", precise=True).networks.precision == "float32"
    assert Imager(given, device="cpu").networks.precision == "float32"  # has no graphs
    for file in packaged.glob("*.*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "detector.energy_head.fast.onnx").unlink()
    with raises(CheckpointError, "energy_head.fast.onnx", expected="a graph"):
        Imager(tmp_path, device="cpu")
    Detector("compact", "official", context=1).save(tmp_path / "detector.safetensors")
    with raises(CheckpointError, "rpn.fast.onnx", place="weights", expected="the graph of"):
        Imager(tmp_path, device="cpu")
    with raises(DeviceError, "precision", expected="half or precise", found="both"):
        NetworkOptions(half=True, precise=True)


@pytest.mark.parametrize(("video", "precise", "tta"), [(1, 0, 1), (0, 0, 4), (1, 1, 4)])
def test_audio_is_augmented_where_it_is_alone(video: bool, precise: bool, tta: int) -> None:
    networks = load_networks(NetworkOptions(device="cpu", precise=bool(precise)))
    assert networks.audio_with(video=bool(video)).tta == tta
    assert networks.provenance(("audio",), video=bool(video))["tta"] == tta


def test_the_former_name_of_the_default_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    assert [is_precise(precise, None) for precise in (False, True)] == [False, True]
    assert not caplog.records
    assert [is_precise(False, fast) for fast in (False, True)] == [True, False]
    assert len(caplog.records) == 2
    with raises(DeviceError, "precision", expected="fast or precise", found="both"):
        is_precise(True, True)


def test_results_say_their_precision(tmp_path: Path, recording: Path) -> None:
    int8, full = NetworkOptions(device="cpu"), NetworkOptions(device="cpu", precise=True)
    image_recordings([recording], tmp_path, networks=int8)
    made = read_run_record(Results(tmp_path, "rec"))
    assert made.provenance.precision == "int8"
    assert "detector.rpn.fast.onnx" in made.provenance.weights
    assert read_provenance(tmp_path / "rec.candidates.parquet")["precision"] == "int8"
    assert "float32" not in (tmp_path / "index.html").read_text()
    assert image_recordings([recording], tmp_path, networks=int8) == {"rec": None}
    with raises(OutputError, found="another precision"):
        image_recordings([recording], tmp_path, networks=full)
    image_recordings([recording], tmp_path / "full", networks=full)
    assert "Imaged in float32" in (tmp_path / "full" / "index.html").read_text()


def test_threads_change_no_number(recording: Path) -> None:
    opened = open_recording(recording)
    one, three = (next(iter(Imager(threads=n).blocks(opened))).candidates for n in (1, 3))
    for name in ("frame", "score", "box", "energy_map"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def test_it_images_without_loading_torch_and_nothing_is_reported_of_who_does(
    recording: Path, tmp_path: Path
) -> None:
    """Some releases of ONNX Runtime keep a device's name to report it."""
    known = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "MPLCONFIGDIR")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(recording)],
        check=False,
        capture_output=True,
        text=True,
        env=known | {"HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_weights_without_graphs_need_torch(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "has_torch", lambda: False)
    with raises(CheckpointError, "uplam.pth", expected="its graphs beside it, or"):
        Imager(given)


def test_graphs_of_other_weights_are_refused(tmp_path: Path) -> None:
    for file in find_weights().folder.glob("*.*"):
        shutil.copy(file, tmp_path)
    Detector("compact", "official", context=1).save(tmp_path / "detector.safetensors")
    with raises(CheckpointError, "rpn.fast.onnx", place="weights", expected="the graph of"):
        Imager(tmp_path)
    write_checkpoint(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {})
    with raises(CheckpointError, "other.rpn.onnx", expected="a graph", found="no"):
        Graph(tmp_path / "other.safetensors", "rpn", ["n"])


@pytest.mark.parametrize("content", [b"", b"\x08\x0a", bytes(range(256))])
def test_a_damaged_graph_is_named(content: bytes, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    write_checkpoint(weights, {"a": torch.zeros(1)}, {})
    graph_path(weights, "net").write_bytes(content)
    with raises(CheckpointError, "w.net.onnx", advice="`saiseld export`"):
        Graph(weights, "net", ["n"])


def test_added_beside_weights_that_stay_as_they_are(given: Path, tmp_path: Path) -> None:
    shutil.copy(given / "detector.safetensors", tmp_path)
    before = (tmp_path / "detector.safetensors").read_bytes()
    with raises(CheckpointError, place="uplam", expected="uplam.safetensors or uplam.pth"):
        export_system(tmp_path, tmp_path)
    assert (tmp_path / "detector.safetensors").read_bytes() == before
