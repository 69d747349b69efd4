"""What a file says, read a second time by the plainest means: a reader must say the same.

Each function takes a file that a reader has accepted and what the reader made of it, and asserts
that nothing was left out, made up or turned into something else on the way.
"""

from __future__ import annotations

import csv
import io
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.candidates import Candidates
from saiseld.formats.dcase_csv import SourceRows
from saiseld.formats.events import Event
from saiseld.formats.sound_events import SoundEvent


def close(found: object, said: object) -> bool:
    """Return whether two values are the same: numbers to single precision, trees part by part."""
    if isinstance(said, Mapping) and isinstance(found, Mapping):
        return all(key in found and close(found[key], value) for key, value in said.items())
    if isinstance(said, Sequence | np.ndarray) and not isinstance(said, str):
        others = list(found) if isinstance(found, Sequence | np.ndarray) else None
        same = others is not None and len(others) == len(said)
        return same and all(map(close, others or (), said))
    if isinstance(said, str) and isinstance(found, int | float):  # a number in quotes is one
        said = float(said) if _is_number(said) else said
    if isinstance(said, int | float) and isinstance(found, int | float | np.number):
        return math.isclose(float(found), float(said), rel_tol=1e-6, abs_tol=1e-9)
    return bool(found == said)


def tree_of(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(path.read_bytes().decode("utf-8-sig", "replace"))


def same_tree(
    path: Path, found: object, *, toml: bool = False, renamed: Mapping[str, str] | None = None
) -> None:
    """Assert that each value of a JSON or TOML file is among those that were read."""
    said = tomllib.loads(path.read_text("utf-8")) if toml else tree_of(path)
    said = {(renamed or {}).get(key, key): value for key, value in said.items()}
    for key, value in said.items():
        own = found.get(key) if isinstance(found, Mapping) else getattr(found, key, None)
        if key == "extends" or (key == "name" and not value):  # not said in the file itself
            continue
        if own is not None or value is not None:
            assert close(_plain(own), value), (key, own, value)


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


def same_masks(path: Path, found: Sequence[EnergyMask]) -> None:
    """Assert that masks are those of the JSON."""
    items = tree_of(path)["annotations"]
    assert len(items) == len(found)
    for mask, item in zip(found, items, strict=True):
        assert (mask.frame, mask.class_id) == (item["metadata_frame_index"], item["category_id"])
        assert mask.instance_id == item.get("instance_id", 0)
        assert close(mask.distance_cm, item.get("distance"))
        assert close(mask.score, item.get("score"))
        assert [b.tolist() for b in mask.segmentation] == [
            [[float(number) for number in point] for point in blob] for blob in item["segmentation"]
        ]


def _rows(path: Path) -> list[list[str]]:
    """Return the rows of a CSV without remarks, and without empty fields at their ends."""
    text = path.read_text("utf-8-sig")
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = next((mark for mark in ";\t," if mark in first), " ")
    rows = csv.reader(io.StringIO(text, newline=None), delimiter=mark)
    kept = [row for row in rows if row and not row[0].startswith("#")]
    for row in kept:  # a distance may be empty
        while len(row) > 1 and not row[-1].strip():
            row.pop()
    return kept


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def same_events(path: Path, found: Sequence[Event]) -> None:
    """Assert that events are the rows of the CSV, by their names or in their usual order."""
    rows = _rows(path)
    names = ["frame", "class", "source", "azimuth", "elevation", "distance_cm"]
    if rows and not _is_number(rows[0][0]):
        names = [name.strip().casefold() for name in rows.pop(0)]
    elif rows and (len(rows[0]) == 7 or (rows and max(map(len, rows)) == 6)):
        last = np.array([[float(text) for text in row[3:6]] for row in rows if len(row) >= 6])
        if len(last) == len(rows) and (np.abs(last) <= 2).all():
            names = ["frame", "class", "source", "x", "y", "z", "distance_m"]
    assert len(rows) == len(found)
    for event, row in zip(found, rows, strict=True):
        said = dict(zip(names, map(float, row), strict=False))
        assert (event.frame, event.class_id) == (said["frame"], said["class"])
        assert event.source == said.get("source", 0)
        if "azimuth" not in said or "elevation" not in said:
            turn = math.degrees(math.atan2(said["y"], said["x"]))
            up = math.degrees(math.atan2(said["z"], math.hypot(said["x"], said["y"])))
        else:
            turn, up = said["azimuth"], said["elevation"]
        assert abs((event.azimuth - turn + 180) % 360 - 180) < 1e-4
        assert abs(event.elevation - up) < 1e-4
        if "distance_cm" in said:
            assert close(event.distance_cm, said["distance_cm"])


def same_sources(path: Path, found: SourceRows) -> None:
    """Assert that rows are those of the DCASE CSV."""
    rows = [[float(text) for text in row] for row in _rows(path)]
    assert len(rows) == len(found)
    for number, row in enumerate(rows):
        assert (found.frame[number], found.class_id[number]) == (row[0], row[1])
        if len(row) in (5, 6):  # with a distance, or a vector
            assert found.source[number] == row[2]
            angles = (found.azimuth[number], found.elevation[number])
            vector = len(row) == 6 and max(map(abs, row[3:])) <= 2
            assert vector or close(angles, row[3:5])


def same_sound_events(path: Path, found: Sequence[SoundEvent]) -> None:
    """Assert that sound events are those of the CSV."""
    head, *rows = csv.reader(io.StringIO(path.read_text("utf-8")))
    assert len(rows) == len(found)
    for event, row in zip(found, rows, strict=True):
        said = dict(zip(head, row, strict=True))
        assert event.number == int(said["event"]) and event.class_name == said["class"]
        assert event.class_name == CLASS_NAMES[event.class_id]
        own = (event.start_s, event.end_s, event.azimuth, event.elevation, event.score)
        keys = ("from_s", "to_s", "azimuth", "elevation", "score")
        assert close(own, [float(said[key]) for key in keys])
        assert close(event.distance_cm, float(said["distance_cm"]) if said["distance_cm"] else None)


def same_candidates(path: Path, found: Candidates) -> None:
    """Assert that a table is the Parquet file's."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    assert len(table) == len(found)
    for name, own in (
        ("frame", found.frame), ("class_id", found.class_id), ("score", found.score),
        ("distance_cm", found.distance_cm), ("x0", found.box[:, 0]), ("y1", found.box[:, 3]),
        ("matchability", found.matchability),
    ):  # fmt: skip
        np.testing.assert_array_equal(table[name].to_numpy(), own)
    maps = table["energy_map"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(maps.reshape(found.energy_map.shape), found.energy_map)


def same_tensors(path: Path, found: Mapping[str, Any]) -> None:
    """Assert that tensors are those of the safetensors file, wider ones rounded at most."""
    said = safetensors.numpy.load_file(path)
    assert set(said) == set(found)
    for name, value in said.items():
        own = np.asarray(found[name])
        pairs = np.stack([own.real, own.imag], axis=-1) if np.iscomplexobj(own) else own
        np.testing.assert_allclose(pairs, value, rtol=1e-6, atol=0)
