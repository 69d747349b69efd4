"""Every reader of files that others made: sound examples, and what must hold of what is read.

A reader either refuses a file with one error of ours or returns values that its format allows; the
checks here are what "allows" means, written down apart from the readers' own.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

import saiseld.arrays
import saiseld.data
from saiseld.acoustics.covariance import visibility
from saiseld.acoustics.graphs import GraphUpLAM
from saiseld.arrays.description import read_array, tetrahedron
from saiseld.arrays.measured import read_sofa
from saiseld.conventions.sphere import HEIGHT, WIDTH, angles_of_vector, fibonacci_sphere
from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.data.corpora import read_corpus_map
from saiseld.data.label_columns import label_columns
from saiseld.data.recordings import open_recording
from saiseld.data.video import open_video
from saiseld.data.video_array import video_array
from saiseld.decision.class_thresholds import ClassThresholds
from saiseld.decision.detection_features import FEATURE_NAMES
from saiseld.decision.fusion import Fusion
from saiseld.decision.matchability import Examples, Matchability, fit
from saiseld.evaluation.drawn_labels import draw_labels
from saiseld.formats.annotation import EnergyMask, read_annotations, write_annotations
from saiseld.formats.candidates import iter_candidates, read_candidates, write_candidates
from saiseld.formats.checkpoint import load_weights, read_checkpoint, write_checkpoint
from saiseld.formats.dcase_csv import SourceRows, read_dcase_csv, write_dcase_csv
from saiseld.formats.events import Event, read_events, write_events
from saiseld.formats.features import AcousticImages, Features, write_features
from saiseld.formats.sound_events import SoundEvent, read_sound_events, write_sound_events
from saiseld.live.arrays import ChannelMap
from saiseld.pipeline.results import (
    Provenance,
    Results,
    RunRecord,
    read_run_record,
    write_run_record,
)
from saiseld.pipeline.weights import PACKAGED
from saiseld.runtime.cache import CHECKSUM_SUFFIX
from saiseld.serve.jobs import ErrorDetail, JobRequest, Jobs
from saiseld.simulation.recipes import read_recipe
from saiseld.training.detector.recipes import read_recipe as read_training_recipe
from saiseld.training.loop import load_state, save_state
from saiseld.training.seld.responses import Room
from tests.reference.perturbed_labels import perturbed
from tests.robustness.known import KNOWN, read_known
from tests.robustness.known import examples as known_examples
from tests.robustness.truths import (
    close,
    same_candidates,
    same_events,
    same_masks,
    same_sound_events,
    same_sources,
    same_tensors,
    same_tree,
    tree_of,
)

MAX_FRAMES = 864_000


@dataclass(frozen=True)
class Reader:
    """A reader under test.

    Parameters
    ----------
    file
        Name of the file it reads, in a folder of its own.
    examples
        Writes sound files into a folder and returns them.
    read
        Reads the file in a folder to the end, and asserts what must hold of it.
    """

    file: str
    examples: Callable[[Path], list[Path]]
    read: Callable[[Path], object]


def _annotations(folder: Path) -> list[Path]:
    points = np.array([[10, 20, 0.5], [11.5, 20, 1.0], [12, 24, 0.25]])
    masks = [
        EnergyMask(f, i, i, (points, points + 30), 150.0, 0.7) for f in range(3) for i in (0, 1)
    ]
    write_annotations(folder / "a.json", masks)
    write_annotations(folder / "b.json", [replace(m, distance_cm=None) for m in masks[:2]])
    return [folder / "a.json", folder / "b.json"]


def _read_annotations(path: Path) -> None:
    masks = read_annotations(path, predictions=True)
    same_masks(path, masks)
    for mask in masks:
        assert 0 <= mask.frame < MAX_FRAMES
        assert mask.score is not None and np.isfinite(mask.score)
        assert mask.distance_cm is None or np.isfinite(mask.distance_cm)
        for blob in mask.segmentation:
            assert np.isfinite(blob.astype(np.float32)).all()
            assert (blob[:, :2] >= 0).all() and (blob[:, :2] <= (WIDTH, HEIGHT)).all()


def _candidates(folder: Path) -> list[Path]:
    paths = []
    for number in range(2):
        table, _ = perturbed(number, "take", frames=4)
        rows = np.arange(len(table)) < 12
        paths.append(folder / str(number) / "take.candidates.parquet")
        write_candidates(paths[-1], table.take(rows))
    return paths


def _read_candidates(path: Path) -> None:
    table = read_candidates(path)
    assert table.recording == "take" and 0 <= table.frames <= MAX_FRAMES
    assert (table.frame >= 0).all() and (table.frame < max(table.frames, 1)).all()
    assert (np.diff(table.frame) >= 0).all()
    assert ((table.score >= 0) & (table.score <= 1)).all()
    assert ((table.class_id >= 0) & (table.class_id < 13)).all()
    assert np.isfinite(table.box).all() and np.isfinite(table.energy_map).all()
    assert not np.isinf(table.distance_cm).any() and not (table.distance_cm < 0).any()
    known = table.matchability[~np.isnan(table.matchability)]
    assert ((known >= 0) & (known <= 1)).all()
    assert sum(map(len, iter_candidates(path))) == len(table)
    same_candidates(path, table)


def _events(folder: Path) -> list[Path]:
    events = [Event(f, f % 13, 0, -170.5 + f, 12.0, 150.0) for f in range(20)]
    write_events(folder / "a.csv", events)
    write_events(folder / "b.csv", [e._replace(distance_cm=None) for e in events])
    return [folder / "a.csv", folder / "b.csv"]


def _read_events(path: Path) -> None:
    events = read_events(path)
    same_events(path, events)
    for event in events:
        assert 0 <= event.frame < MAX_FRAMES and 0 <= event.class_id < 13
        assert abs(event.azimuth) <= 180 and abs(event.elevation) <= 90
        assert event.distance_cm is None or 0 <= event.distance_cm < np.inf


def _features(folder: Path) -> list[Path]:
    latent = np.random.default_rng(0).random((3, 9, 484), np.float32)
    gates = np.linspace(0, 1, 3, dtype=np.float32)
    made_by = {"weights": "w", "projection": "official", "width": "float16"}
    for width in ("float16", "float32"):
        images = [AcousticImages(latent, gates, gates)]
        write_features(folder / f"{width}.safetensors", 3, images, made_by, width)  # type: ignore[arg-type]
    return sorted(folder.glob("*.safetensors"))


def _read_features(path: Path) -> None:
    features = Features(path)
    assert 0 <= features.frames <= MAX_FRAMES and isinstance(features.provenance["weights"], str)
    for block in features.images():
        assert np.isfinite(block.latent).all() and block.latent.shape[1:] == (9, 484)
        assert len(block.closure) == len(block.diffuseness) == len(block.latent)
        assert np.isfinite(block.closure).all() and np.isfinite(block.diffuseness).all()
    own = {name: getattr(features, name) for name in ("scale", "closure", "diffuseness")}
    # A power of two, which is exact where numbers are not smaller than single precision has.
    blocks = [np.zeros((0, 9, 484), np.float32), *(b.latent for b in features.images())]
    with np.errstate(all="ignore"):
        latent = np.concatenate(blocks) / features.scale[:, None, None]
    said = load_file(path)
    assert all(np.array_equal(own[name], said[name]) for name in own)
    exact = np.abs(features.scale) > 1e-20
    assert np.allclose(latent[exact], said["latent"][exact].astype(np.float32), 1e-3, 1e-6)


@cache
def _layer() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))


def _safetensors(folder: Path) -> list[Path]:
    state = dict(_layer().state_dict())
    write_checkpoint(folder / "a.safetensors", state, {"kind": "detector", "context": 1})
    state["D"] = torch.ones(3, dtype=torch.complex64)
    write_checkpoint(folder / "b.safetensors", state, {})
    return [folder / "a.safetensors", folder / "b.safetensors"]


def _pth(folder: Path) -> list[Path]:
    torch.save(_layer().state_dict(), folder / "a.pth")
    torch.save({"model_state_dict": _layer().state_dict(), "epoch": 3}, folder / "b.pth")
    torch.save(_layer().state_dict(), folder / "c.pth", _use_new_zipfile_serialization=False)
    return sorted(folder.glob("*.pth"))


def _read_checkpoint(path: Path) -> None:
    state, header = read_checkpoint(path)
    assert isinstance(header, dict) and all(isinstance(key, str) for key in state)
    if path.suffix == ".safetensors":
        same_tensors(path, {name: value.numpy() for name, value in state.items()})
    load_weights(_layer(), state, path)
    assert all(torch.isfinite(value).all() for value in _layer().state_dict().values())


def _skops(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    rows = rng.random((120, len(FEATURE_NAMES)), np.float32)
    room = np.repeat(["a", "b"], 60)
    known = Examples(rows, rows[:, 0] > 0.5, rng.integers(0, 13, 120), room)
    for kind in ("trees", "linear"):
        fit(known, recordings=["x"], kind=kind).save(folder / f"{kind}.skops")  # type: ignore[arg-type]
    plain = zipfile.ZipFile(folder / "plain.skops", "w")  # not packed, so that damage reaches it
    with zipfile.ZipFile(folder / "linear.skops") as packed, plain:
        for name in packed.namelist():
            plain.writestr(name, packed.read(name))
    return sorted(folder.glob("*.skops"))


def _read_skops(path: Path) -> None:
    model = Matchability.load(path)
    found = model.probability(np.random.default_rng(1).random((50, 16)).astype(np.float32))
    assert ((found >= 0) & (found <= 1)).all()


def _sounds(suffix: str, **options: str) -> Callable[[Path], list[Path]]:
    def examples(folder: Path) -> list[Path]:
        sound = 0.1 * np.random.default_rng(0).standard_normal((4800, 4))
        soundfile.write(folder / f"a.{suffix}", sound, 24000, **options)
        soundfile.write(folder / f"b.{suffix}", sound[:, [0] * 4], 48000, **options)
        return [folder / f"a.{suffix}", folder / f"b.{suffix}"]

    return examples


def _read_recording(path: Path) -> None:
    recording = open_recording(path)
    assert recording.channels in (4, 32) and 1 <= recording.frames <= MAX_FRAMES
    frames = 0
    for block in recording.blocks():
        assert np.isfinite(block).all() and block.shape[1] == 4
        assert np.isfinite(visibility(block, dtype=np.complex64)).all()
        frames += len(block) // 2400
    assert frames == recording.frames


def _movies(suffix: str, codec: str) -> Callable[[Path], list[Path]]:
    def examples(folder: Path) -> list[Path]:
        for name, size, count in (("a", (64, 32), 3), ("b", (160, 80), 2)):
            with av.open(str(folder / f"{name}.{suffix}"), "w") as container:
                stream = container.add_stream(codec, rate=10)
                stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
                for k in range(count):
                    picture = np.full((size[1], size[0], 3), 60 * k, np.uint8)
                    frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                    frame.pts, frame.time_base = k, Fraction(1, 10)
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
        return sorted(folder.glob(f"*.{suffix}"))

    return examples


def _read_video(path: Path) -> None:
    for number, frame in enumerate(open_video(path)):
        assert frame is None or (frame.shape == (180, 360, 3) and frame.dtype == np.uint8)
        if number == 100:  # whoever reads it wants as many as there is sound
            break


def _pictures(suffix: str) -> Callable[[Path], list[Path]]:
    def examples(folder: Path) -> list[Path]:
        noise = np.random.default_rng(0).integers(0, 255, (24, 48, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"a_0000.{suffix}")
        Image.fromarray(noise[..., 0]).save(folder / f"b_0000.{suffix}")
        return [folder / f"a_0000.{suffix}", folder / f"b_0000.{suffix}"]

    return examples


def _read_frames(path: Path) -> None:
    (frame,) = open_video(path.parent)
    assert frame is not None and frame.shape == (180, 360, 3)


def _recipes(folder: Path) -> list[Path]:
    import saiseld.simulation
    import saiseld.training.detector

    package = Path(next(iter(saiseld.simulation.__path__)))
    other = Path(next(iter(saiseld.training.detector.__path__)))
    (folder / "c.toml").write_text('extends = "tiny"\nmoving = 0.5\nseconds = 2\n')
    return [package / "builtin/tiny.toml", other / "builtin/compact.toml", folder / "c.toml"]


def _read_recipe(path: Path) -> None:
    for read in (read_recipe, read_training_recipe):
        try:
            recipe = read(str(path))
        except Exception:
            if read is read_training_recipe:
                raise
        else:
            json.dumps(recipe.model_dump(), allow_nan=False)
            _same_recipe(tomllib.loads(path.read_text("utf-8")), recipe.model_dump())


def _same_recipe(said: dict[str, Any], found: dict[str, Any]) -> None:
    """Assert that a recipe has each value that its file sets."""
    for key, value in said.items():
        if isinstance(value, dict) and isinstance(found.get(key), dict):
            _same_recipe(value, found[key])
        elif key != "extends":
            assert close(found[key], value), (key, found[key], value)


def _models(folder: Path) -> list[Path]:
    Fusion.load(PACKAGED / "fusion.json").save(folder / "fusion.json")
    return [folder / "fusion.json"]


def _read_fusion(path: Path) -> None:
    old = {"ear": "audio", "eye": "detector", "toward_eye": "toward_detector"}
    same_tree(path, Fusion.load(path).as_json(), renamed=old)


def _thresholds(folder: Path) -> list[Path]:
    names = dict.fromkeys(CLASS_NAMES, 0.25)
    known = ClassThresholds("seld-2024", "audiovisual", names, {**names, "Bell": None}, ["x"])
    known.save(folder / "thresholds.json")
    return [folder / "thresholds.json"]


def _read_thresholds(path: Path) -> None:
    found = ClassThresholds.load(path)
    assert all(0 <= found.of_class(number) <= 1 for number in range(13))
    same_tree(path, found)


def _channel_maps(folder: Path) -> list[Path]:
    text = '{"channels": [4, 2, 3, 1], "polarity": [1, -1, 1, 1], "turn": 12.5}'
    (folder / "map.json").write_text(text)
    return [folder / "map.json"]


def _read_channel_map(path: Path) -> None:
    found = ChannelMap.read(path)
    assert len(set(found.channels)) == 4 and np.isfinite(found.turn)
    same_tree(path, found)


def _arrays(folder: Path) -> list[Path]:
    builtin = Path(next(iter(saiseld.arrays.__path__))) / "builtin"
    names = ("respeaker-usb-4", "em32", "uma-8")
    return [Path(shutil.copy(builtin / f"{name}.toml", folder)) for name in names]


def _read_array(path: Path) -> None:
    array = read_array(path)
    count = len(array.positions_m)
    assert 1 <= count <= 64 and np.isfinite(array.positions_m).all()
    assert len(array.channels) == count and set(array.polarity) <= {1, -1}
    assert np.isfinite((*array.elevation, array.yaw_deg)).all()
    same_tree(path, array, toml=True)


def _class_maps(folder: Path) -> list[Path]:
    builtin = Path(next(iter(saiseld.data.__path__))) / "builtin"
    return [Path(shutil.copy(builtin / f"{name}.toml", folder)) for name in ("starss", "tau2020")]


def _read_class_map(path: Path) -> None:
    same_tree(path, read_corpus_map(str(path)), toml=True)


def _dcase(folder: Path) -> list[Path]:
    rows = [(f, f % 13, 0, -170.5 + f, 12.0, 1.5) for f in range(10)]
    write_dcase_csv(folder / "a.csv", SourceRows.of(rows))
    write_dcase_csv(folder / "b.csv", SourceRows.of([row[:5] for row in rows]))
    (folder / "c.csv").write_text("0,1,0,0.6,0.8,0.0\n1,1,0,0.0,0.6,0.8\n")
    return sorted(folder.glob("*.csv"))


def _read_dcase(path: Path) -> None:
    rows = read_dcase_csv(path).rows
    same_sources(path, rows)
    assert (rows.frame >= 0).all() and (rows.frame < MAX_FRAMES).all()
    assert ((rows.class_id >= 0) & (rows.class_id < 13)).all()
    assert (np.abs(rows.elevation) <= 90).all() and np.isfinite(rows.azimuth).all()
    assert not np.isinf(rows.distance_m).any() and not (rows.distance_m < 0).any()


def _sofas(folder: Path) -> list[Path]:
    import h5py

    directions, rng = fibonacci_sphere(5).T, np.random.default_rng(0)
    for name in ("a", "b"):
        with h5py.File(folder / f"{name}.sofa", "w") as file:
            file.attrs["Conventions"] = np.bytes_("SOFA")
            file.attrs["DataType"] = np.bytes_("FIR")
            file["Data.IR"] = rng.standard_normal((len(directions), 4, 16))
            file["Data.SamplingRate"] = np.array([48000.0])
            file["SourcePosition"] = directions
            file["ReceiverPosition"] = tetrahedron().positions_m[..., None]
            kind = np.bytes_("cartesian")
            for part in ("SourcePosition", "ReceiverPosition"):
                file[part].attrs["Type"] = kind
            if name == "b":
                azimuth, elevation = angles_of_vector(directions)
                file["SourcePosition"][...] = np.stack([azimuth, elevation, 0 * azimuth + 1], 1)
                file["SourcePosition"].attrs["Type"] = np.bytes_("spherical")
    return sorted(folder.glob("*.sofa"))


def _read_sofa(path: Path) -> None:
    import h5py

    found = read_sofa(path)
    assert np.isfinite(found.positions_m).all() and found.receivers >= 1
    assert np.allclose(np.linalg.norm(found.directions, axis=1), 1)
    assert found.impulse_responses.shape[:2] == (len(found.directions), found.receivers)
    with h5py.File(path) as file:
        said = np.asarray(file["Data.IR"], float)
        if said.ndim == 3:
            assert np.array_equal(said, found.impulse_responses)
        assert found.sample_rate == np.ravel(file["Data.SamplingRate"])[0]


def _rooms(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    columns = {
        "azimuth": np.linspace(-90, 90, 5, dtype=np.float32),
        "elevation": np.zeros(5, np.float32),
        "distance_cm": np.full(5, 150, np.float32),
        "path": np.array([-1, -1, 0, 0, 0], np.int32),
        "scale": np.ones(5, np.float32),
        "response": rng.standard_normal((5, 4, 40)).astype(np.float16),
    }
    save_file(columns, folder / "room_0.safetensors")
    return [folder / "room_0.safetensors"]


def _read_room(path: Path) -> None:
    room = Room(path)
    for place in (*room.standing, *room.walks):
        assert (np.abs(place.azimuth) <= 180).all() and (np.abs(place.elevation) <= 90).all()
        assert (place.distance_cm >= 0).all() and np.isfinite(place.distance_cm).all()
        found = room.responses(place.rows)
        assert found.shape[:2] == (len(place.rows), 4) and np.isfinite(found).all()


def _states(folder: Path) -> list[Path]:
    state = {
        "recipe": "{}", "data": "{}", "done": 2, "model": dict(_layer().state_dict()),
        "optimizer": {"state": {}, "param_groups": []}, "scaler": {}, "best": 0.1, "plateau": 0.1,
        "random": [[torch.get_rng_state()]], "rate": 1.0, "stale": 0,
    }  # fmt: skip
    save_state(folder / "a.pt", state)
    save_state(folder / "b.pt", {**state, "recipe": '{"a": 1}'})
    return [folder / "a.pt", folder / "b.pt"]


def _read_state(path: Path) -> None:
    state = load_state(
        path, {"recipe": "{}", "data": "{}"}, {"done": int, "model": dict, "random": list}
    )
    assert state["recipe"] == "{}" and state["data"] == "{}"


def _cache(
    fill: Callable[[Path, Path], object], source: Callable[[Path], list[Path]]
) -> tuple[Callable[[Path], list[Path]], Callable[[Path], None]]:
    """Return examples of what a cache holds, and a read of a damaged one: it must not show."""

    def entry(folder: Path) -> tuple[Path, Path]:
        folder.mkdir(exist_ok=True)
        made_from = source(folder)[0]
        fill(made_from, folder / "cache")
        (found,) = (p for p in (folder / "cache").iterdir() if p.suffix != CHECKSUM_SUFFIX)
        return made_from, found

    sound: dict[Path, tuple[Path, Path, object]] = {}

    def read(path: Path) -> None:
        own = path.parent / "own"
        if own not in sound:
            made_from, found = entry(own)
            sound[own] = made_from, found, _copied(fill(made_from, own / "cache"))
        made_from, found, expected = sound[own]
        path.replace(found)
        assert _copied(fill(made_from, own / "cache")) == expected

    return lambda folder: [entry(folder)[1]], read


def _copied(values: object) -> list[bytes]:
    """Return the content of an array, or of the arrays of a value type."""
    arrays = [getattr(values, f.name) for f in fields(values)] if is_dataclass(values) else [values]
    return [np.asarray(array).tobytes() for array in arrays]


def _sound_events(folder: Path) -> list[Path]:
    events = [
        SoundEvent(k, 11, "Bell", k / 2, k / 2 + 1, 10.0 * k, 5.0, 150.0, 0.5) for k in (1, 2)
    ]
    write_sound_events(folder / "a.events.csv", events)
    return [folder / "a.events.csv"]


def _read_sound_events(path: Path) -> None:
    events = read_sound_events(path)
    same_sound_events(path, events)
    for event in events:
        assert 0 <= event.start_s <= event.end_s <= MAX_FRAMES / 10 and 0 <= event.score <= 1
        assert abs(event.azimuth) <= 180 and abs(event.elevation) <= 90
        assert event.distance_cm is None or 0 <= event.distance_cm < 1e9


def _records(folder: Path) -> list[Path]:
    made_from = Provenance("a", "b", {"w": "d"}, "s", "capsules")
    results = Results(folder, "take")
    write_run_record(results, RunRecord(made_from, 3, 1))
    return [results.provenance]


def _read_record(path: Path) -> None:
    found = read_run_record(Results(path.parent, "take"))
    assert 0 <= found.missing_pictures <= found.frames <= MAX_FRAMES
    assert all(isinstance(text, str) for text in found.provenance.weights.values())
    found.provenance.difference(found.provenance)
    assert all(isinstance(note, str) for note in found.notes())
    said = tree_of(path)
    assert close(
        [found.frames, found.missing_pictures, found.threshold],
        [said["frames"], said["missing_pictures"], said.get("threshold")],
    )
    assert close(asdict(found.provenance)["weights"], said["provenance"]["weights"])


def _graphs(folder: Path) -> list[Path]:
    return [Path(shutil.copy(PACKAGED / "uplam.upsample.onnx", folder))]


def _read_graph(path: Path) -> None:
    for name in ("uplam.safetensors", "uplam.map.onnx"):
        if not (path.parent / name).exists():
            shutil.copy(PACKAGED / name, path.parent)
    sound = np.random.default_rng(0).standard_normal((2, 9, 4, 4))
    latent = GraphUpLAM(path.with_name("uplam.safetensors"))((sound + 0j).astype(np.complex64))
    assert latent.shape == (2, 9, 484) and np.isfinite(latent).all()


def _job_tables(folder: Path) -> list[Path]:
    jobs = Jobs(folder / "served")
    first, second = (jobs.create(JobRequest(), 10).id for _ in range(2))
    jobs.queue(first)
    jobs.claim()
    jobs.end(first, ["hums"], ErrorDetail(message="no"))
    jobs.touch(second)
    with sqlite3.connect(jobs.folder / "jobs.sqlite") as table:
        table.execute("PRAGMA journal_mode = DELETE")
    table.close()
    return [jobs.folder / "jobs.sqlite"]


def _read_jobs(path: Path) -> None:
    for leftover in path.parent.glob("jobs.sqlite-*"):
        leftover.unlink()
    jobs = Jobs(path.parent)
    for job in jobs.all():
        assert set(job.id) <= set("0123456789abcdef") and jobs.get(job.id) is not None
    jobs.sweep(3600.0, deleted=True)
    jobs.stopped("stopped")
    jobs.claim()
    assert jobs.waiting() >= 0


def iter_readers() -> Iterator[tuple[str, Reader]]:
    """Yield name and reader."""
    yield "annotation JSON", Reader("a.json", _annotations, _read_annotations)
    yield "candidates Parquet", Reader("take.candidates.parquet", _candidates, _read_candidates)
    yield "events CSV", Reader("a.csv", _events, _read_events)
    yield "sound events CSV", Reader("a.events.csv", _sound_events, _read_sound_events)
    yield "DCASE CSV", Reader("a.csv", _dcase, _read_dcase)
    yield "provenance", Reader("take.provenance", _records, _read_record)
    yield "graph ONNX", Reader("uplam.upsample.onnx", _graphs, _read_graph)
    yield "fusion JSON", Reader("fusion.json", _models, _read_fusion)
    yield "class thresholds JSON", Reader("thresholds.json", _thresholds, _read_thresholds)
    yield "channel map JSON", Reader("map.json", _channel_maps, _read_channel_map)
    yield "array TOML", Reader("mine.toml", _arrays, _read_array)
    yield "class map TOML", Reader("classes.toml", _class_maps, _read_class_map)
    yield "SOFA", Reader("mine.sofa", _sofas, _read_sofa)
    yield "room responses", Reader("room_0.safetensors", _rooms, _read_room)
    yield "jobs sqlite", Reader("jobs.sqlite", _job_tables, _read_jobs)
    yield "features", Reader("a.features.safetensors", _features, _read_features)
    yield "weights safetensors", Reader("a.safetensors", _safetensors, _read_checkpoint)
    yield "weights pth", Reader("a.pth", _pth, _read_checkpoint)
    yield "run state", Reader("a.pt", _states, _read_state)
    yield "matchability skops", Reader("a.skops", _skops, _read_skops)
    yield "WAV", Reader("a.wav", _sounds("wav", subtype="FLOAT"), _read_recording)
    yield "FLAC", Reader("a.flac", _sounds("flac"), _read_recording)
    yield "Ogg", Reader("a.ogg", _sounds("ogg"), _read_recording)
    yield "MP4", Reader("a.mp4", _movies("mp4", "libx264"), _read_video)
    yield "Matroska", Reader("a.mkv", _movies("mkv", "libvpx"), _read_video)
    yield "AVI", Reader("a.avi", _movies("avi", "mpeg4"), _read_video)
    yield "PNG frames", Reader("a_0000.png", _pictures("png"), _read_frames)
    yield "JPEG frames", Reader("a_0000.jpg", _pictures("jpg"), _read_frames)
    yield "recipe TOML", Reader("a.toml", _recipes, _read_recipe)
    for name, fill, source in (
        ("cache of labels", label_columns, _annotations),
        ("cache of drawings", draw_labels, _annotations),
        ("cache of videos", video_array, _movies("mp4", "mpeg4")),
    ):
        yield name, Reader("entry", *_cache(fill, source))
    for name in KNOWN:
        yield name, Reader("seed", known_examples, read_known(name))


READERS = dict(iter_readers())
