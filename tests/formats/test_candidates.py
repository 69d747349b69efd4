"""The candidate table survives a round trip and refuses impossible values."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.errors import raises

from saiseld.formats.candidates import (
    Candidates,
    candidate_files,
    candidate_writer,
    iter_candidates,
    joined,
    read_candidates,
    write_candidates,
)
from saiseld.runtime.errors import CandidateError

NAME = "fold4_room1_mix001"


def table(rows: int = 12) -> Candidates:
    rng = np.random.default_rng(rows)
    corner = rng.uniform(0, 100, (rows, 2))
    column = lambda: rng.uniform(0, 1, rows).astype(np.float32)  # noqa: E731
    return Candidates(
        recording=NAME,
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
    whole, path = table(), tmp_path / f"{NAME}.candidates.parquet"
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
    ("column", "value", "fields"),
    [
        (
            "energy_map",
            np.full((12, 28, 28), np.nan, np.float16),
            {"place": "energy_map, row 0", "expected": "finite"},
        ),
        (
            "score",
            np.full(12, 1.5, np.float32),
            {"place": "score, row 0", "expected": "a score in [0, 1]"},
        ),
        (
            "class_id",
            np.full(12, 13, np.int8),
            {"place": "class_id, row 0", "expected": "a class of 0-12"},
        ),
        ("frame", np.arange(12, dtype=np.int32)[::-1], {"place": "frame"}),
        ("box", np.zeros((12, 3), np.float32), {"place": "box", "expected": "shape"}),
        (
            "distance_cm",
            np.full(12, np.inf, np.float32),
            {"place": "distance_cm, row 0", "expected": "0 to"},
        ),
        (
            "distance_cm",
            np.full(12, -1, np.float32),
            {"place": "distance_cm, row 0", "expected": "0 to"},
        ),
        (
            "matchability",
            np.full(12, 1.5, np.float32),
            {"place": "row 0", "expected": "a probability"},
        ),
        (
            "recording",
            "../../evil",
            {"place": "recording", "expected": "a name that a file can have"},
        ),
        (
            "recording",
            "/etc/passwd",
            {"place": "recording", "expected": "a name that a file can have"},
        ),
        ("recording", "a\0b", {"expected": "a name that a file can have", "found": "'a\\x00b'"}),
        ("recording", ".hidden", {"place": "recording", "expected": "a name that a file can have"}),
    ],
)
def test_impossible_values_are_named(column: str, value: object, fields: dict[str, str]) -> None:
    with raises(CandidateError, **fields):
        replace(table(), **{column: value})


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.candidates.parquet"
    write_candidates(path, table())
    arrow = pq.read_table(path)
    header = arrow.schema.metadata[b"saiseld"].replace(
        b'"schema_version": 2', b'"schema_version": 9'
    )
    pq.write_table(arrow.replace_schema_metadata({"saiseld": header}), path)
    with raises(CandidateError, place="schema_version", expected="2", found="9"):
        read_candidates(path)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.candidates.parquet"
    path.write_bytes(b"no parquet")
    with raises(CandidateError, expected="a candidate table (Parquet)"):
        read_candidates(path)
    with raises(CandidateError, found="no such file"):
        read_candidates(tmp_path / "b.candidates.parquet")
    with raises(CandidateError, expected="candidate tables"):
        candidate_files(tmp_path / "empty")


def test_blocks_of_whole_frames(tmp_path: Path) -> None:
    whole = replace(table(10_000), frames=900, frame=np.arange(10_000, dtype=np.int32) // 12)
    path = tmp_path / f"{NAME}.candidates.parquet"
    write_candidates(path, whole)
    blocks = list(iter_candidates(path))
    assert len(blocks) > 2
    for before, after in pairwise(blocks):
        assert before.frame[-1] < after.frame[0]
    back = joined(blocks)
    np.testing.assert_array_equal(back.frame, whole.frame)
    np.testing.assert_array_equal(back.energy_map, whole.energy_map)
    write_candidates(path, table(0))
    assert [len(block) for block in iter_candidates(path)] == [0]


def test_a_table_is_named_after_its_recording(tmp_path: Path) -> None:
    write_candidates(tmp_path / "take2.candidates.parquet", table())
    for read in (read_candidates, lambda path: list(iter_candidates(path))):
        with raises(CandidateError, place="recording", expected="'take2'", found=f"'{NAME}'"):
            read(tmp_path / "take2.candidates.parquet")


@pytest.mark.parametrize(
    ("rows", "frames", "fields"),
    [
        (
            0,
            864_001,
            {
                "place": "frames",
                "expected": "at most 864000",
                "found": "864001",
                "advice": "SAISELD_MAX_FRAMES",
            },
        ),
        (2000, 1, {"place": "a frame", "expected": "at most 1000", "found": "2000"}),
        (
            30_000,
            100,
            {"place": "rows", "expected": "no more than the file can hold", "found": "30000"},
        ),
    ],
)
def test_claims_are_checked_before_memory_is_taken(tmp_path, rows, frames, fields) -> None:
    path = tmp_path / f"{NAME}.candidates.parquet"
    column = np.zeros(rows, np.float32)
    bomb = Candidates(
        recording=NAME,
        frames=frames,
        frame=np.zeros(rows, np.int32),
        class_id=np.zeros(rows, np.int8),
        score=column,
        box=np.zeros((rows, 4), np.float32),
        energy_map=np.broadcast_to(np.float16(0), (rows, 28, 28)),
        has_map=np.zeros(rows, bool),
        **dict.fromkeys(("azimuth", "elevation", "distance_cm", "closure", "diffuseness"), column),
        matchability=column,
    )
    write_candidates(path, bomb)
    with raises(CandidateError, **fields):
        read_candidates(path)


def test_altered_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.candidates.parquet"
    write_candidates(path, table())
    content = bytearray(path.read_bytes())
    for place in range(20, len(content) // 2, 997):
        altered = content.copy()
        altered[place] ^= 4
        path.write_bytes(altered)
        try:
            back = read_candidates(path)
        except CandidateError as error:
            assert "\n" not in str(error)
        else:  # a byte that says nothing
            np.testing.assert_array_equal(back.energy_map, table().energy_map)
            np.testing.assert_array_equal(back.box, table().box)


def test_hidden_files_are_no_tables(tmp_path: Path) -> None:
    write_candidates(tmp_path / f"{NAME}.candidates.parquet", table())
    write_candidates(tmp_path / f"._{NAME}.candidates.parquet", table())
    assert list(candidate_files(tmp_path)) == [NAME]


def test_the_documented_columns_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.candidates.parquet"
    write_candidates(path, table(1))
    schema = pq.read_schema(path)
    page = (
        (Path(__file__).parents[2] / "docs/conventions.md")
        .read_text()
        .partition("### Candidate table")[2]
    )
    rows = re.findall(r"^\| (`.+?`) \| ([^|]+) \|", page.partition("###")[0], re.MULTILINE)
    shown = [(name, kind) for names, kind in rows for name in re.findall(r"`(\w+)`", names)]
    assert [name for name, _ in shown] == schema.names
    short = {"int32": "int32", "int8": "int8", "float": "float32", "bool": "bool"}
    for name, kind in shown:
        real = str(schema.field(name).type)
        assert kind == short.get(real, "fixed list of 784 float16"), (name, real)
