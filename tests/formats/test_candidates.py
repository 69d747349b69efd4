"""The candidate table survives a round trip and refuses impossible values."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from saiseld.formats.candidates import (
    Candidates,
    candidate_files,
    candidate_writer,
    read_candidates,
    write_candidates,
)
from saiseld.runtime.errors import CandidateError


def table(rows: int = 12) -> Candidates:
    rng = np.random.default_rng(rows)
    corner = rng.uniform(0, 100, (rows, 2))
    column = lambda: rng.uniform(0, 1, rows).astype(np.float32)  # noqa: E731
    return Candidates(
        recording="fold4_room1_mix001",
        frames=7,
        frame=np.sort(rng.integers(0, 7, rows)).astype(np.int32),
        class_id=rng.integers(0, 13, rows).astype(np.int8),
        score=column(),
        box=np.concatenate([corner, corner + rng.uniform(1, 40, (rows, 2))], 1).astype(np.float32),
        azimuth=column(),
        elevation=column(),
        distance_cm=np.where(np.arange(rows) % 3, column(), np.nan).astype(np.float32),
        has_map=np.arange(rows) % 3 > 0,
        energy_map=rng.uniform(0, 1, (rows, 28, 28)).astype(np.float16),
        closure=column(),
        diffuseness=column(),
        matchability=np.full(rows, np.nan, np.float32),
        provenance={"model": "test", "score_threshold": 0.01},
    )


@pytest.mark.parametrize("rows", [0, 1, 12])
def test_round_trip(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "fold4_room1_mix001.candidates.parquet"
    write_candidates(path, table(rows))
    back = read_candidates(path)
    for name in Candidates.__slots__:
        np.testing.assert_array_equal(getattr(back, name), getattr(table(rows), name))
        if isinstance(getattr(back, name), np.ndarray):
            assert getattr(back, name).dtype == getattr(table(rows), name).dtype
    assert candidate_files(tmp_path) == {"fold4_room1_mix001": path}


def test_blocks_are_read_back_as_one_table(tmp_path: Path) -> None:
    whole, path = table(), tmp_path / "a.candidates.parquet"
    with candidate_writer(path) as append:
        for frame in range(whole.frames):
            append(whole.take(whole.frame == frame))
    np.testing.assert_array_equal(read_candidates(path).energy_map, whole.energy_map)
    with pytest.raises(KeyboardInterrupt), candidate_writer(path) as append:
        append(whole)
        raise KeyboardInterrupt
    assert len(read_candidates(path)) == len(whole)
    assert list(tmp_path.iterdir()) == [path]


def test_take_keeps_rows_in_order() -> None:
    kept = table().take(table().has_map)
    assert len(kept) == 8 and kept.has_map.all()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("energy_map", np.full((12, 28, 28), np.nan, np.float16), "energy_map, row 0: .* finite"),
        ("score", np.full(12, 1.5, np.float32), r"score, row 0: expected a score in \[0, 1\]"),
        ("class_id", np.full(12, 13, np.int8), "class_id, row 0: expected a class of 0-12"),
        ("frame", np.arange(12, dtype=np.int32)[::-1], "frame"),
        ("box", np.zeros((12, 3), np.float32), "box: expected shape"),
    ],
)
def test_impossible_values_are_named(column: str, value: np.ndarray, message: str) -> None:
    with pytest.raises(CandidateError, match=message):
        replace(table(), **{column: value})


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.candidates.parquet"
    write_candidates(path, table())
    arrow = pq.read_table(path)
    header = arrow.schema.metadata[b"saiseld"].replace(
        b'"schema_version": 1', b'"schema_version": 9'
    )
    pq.write_table(arrow.replace_schema_metadata({"saiseld": header}), path)
    with pytest.raises(CandidateError, match="schema_version: expected 1, found 9"):
        read_candidates(path)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.candidates.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(CandidateError, match="expected a Parquet file"):
        read_candidates(path)
    with pytest.raises(CandidateError, match="no such file"):
        read_candidates(tmp_path / "b.candidates.parquet")
    with pytest.raises(CandidateError, match="expected candidate tables"):
        candidate_files(tmp_path / "empty")
