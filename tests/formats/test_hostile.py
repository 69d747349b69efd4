"""Small files that ask for much, and values that mean nothing, reader by reader."""

import struct
import zipfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.errors import raises
from tests.reference.perturbed_labels import perturbed

from saiseld.formats import candidates, parquet_check
from saiseld.formats.annotation import read_annotations
from saiseld.formats.candidates import read_candidates, write_candidates
from saiseld.formats.checkpoint import read_checkpoint
from saiseld.formats.sound_events import read_sound_events
from saiseld.pipeline.results import Results, read_run_record
from saiseld.runtime.errors import (
    AnnotationError,
    CandidateError,
    CheckpointError,
    DataError,
    RecipeError,
)
from saiseld.runtime.toml import parse_toml


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "take.candidates.parquet"
    found, _ = perturbed(0, "take", frames=4)
    write_candidates(path, found)
    return path


def rewritten(table, tmp_path, change=lambda arrow: arrow, **options):
    path = tmp_path / table.name
    pq.write_table(change(pq.read_table(table)), path, **options)
    return path


def test_a_table_that_another_writer_wrote_is_read(table, tmp_path):
    for options in ({"compression": "snappy"}, {"use_dictionary": False}, {"row_group_size": 7}):
        path = rewritten(table, tmp_path, **options)
        assert len(read_candidates(path)) == len(read_candidates(table))


@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": False, "column_encoding": {"frame": "DELTA_BINARY_PACKED"}},
        {"use_dictionary": False, "column_encoding": {"score": "BYTE_STREAM_SPLIT"}},
    ],
)
def test_encodings_that_grow_are_refused(table, tmp_path, options):
    with pytest.raises(CandidateError) as caught:
        read_candidates(rewritten(table, tmp_path, **options))
    assert caught.value.place.startswith("column ")


def test_a_compression_that_there_is_none_of_is_refused(table, tmp_path):
    """Arrow would end the process where it is asked for its name."""
    content = bytearray(table.read_bytes())
    codec = content.rindex(b"score\x15\x0c") + 6  # a path, then zstd, which is number 6
    content[codec] = 2 * 8
    path = tmp_path / table.name
    path.write_bytes(content)
    with raises(CandidateError, place="footer", found="8"):
        read_candidates(path)


def varint(value):
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def test_a_page_that_claims_more_than_its_rows_is_refused(table, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_check, "FIXED_BYTES", 1 << 16)
    content = bytearray(table.read_bytes())
    column = pq.ParquetFile(table).metadata.row_group(0).column(11)
    # Type and the size unpacked are a byte and a number each; the number's length may not change.
    start = column.data_page_offset + 3
    end = start
    while content[end] & 0x80:
        end += 1
    claimed = (1 << (7 * (end + 1 - start))) - 2
    content[start : end + 1] = varint(claimed)
    path = tmp_path / table.name
    path.write_bytes(content)
    with pytest.raises(CandidateError) as caught:
        read_candidates(path)
    assert caught.value.place == "column energy_map.list.element"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("closure", 1e30), ("closure", np.nan), ("diffuseness", -2.0), ("azimuth", 400.0),
        ("elevation", 400.0), ("elevation", np.nan), ("score", 4e9), ("score", np.nan),
        ("distance_cm", 1e30), ("distance_cm", -1.0), ("matchability", 2.0),
    ],
)  # fmt: skip
def test_values_that_mean_nothing_are_refused(table, tmp_path, column, value):
    def change(arrow):
        values = arrow[column].to_numpy().copy()
        values[0] = value
        place = arrow.schema.get_field_index(column)
        return arrow.set_column(place, arrow.schema.field(column), pa.array(values, pa.float32()))

    with pytest.raises(CandidateError) as caught:
        read_candidates(rewritten(table, tmp_path, change))
    assert caught.value.place == f"{column}, row 0"


def test_more_row_groups_than_a_table_has_are_refused(table, tmp_path, monkeypatch):
    monkeypatch.setenv("SAISELD_MAX_ROW_GROUPS", "3")
    with pytest.raises(CandidateError) as caught:
        read_candidates(rewritten(table, tmp_path, row_group_size=2))
    assert caught.value.place == "row groups"


def test_a_footer_larger_than_any_is_refused(table, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "FOOTER_BYTES", 100)
    with pytest.raises(CandidateError) as caught:
        read_candidates(table)
    assert caught.value.place == "footer"


@pytest.mark.parametrize(
    "field", ['"score": 4e9', '"score": 1e308', '"distance": 1e308', '"distance": -1']
)
def test_masks_with_values_that_mean_nothing_are_refused(tmp_path, field):
    path = tmp_path / "a.json"
    mask = '{"metadata_frame_index": 0, "category_id": 1, "segmentation": [[[1, 2, 0.5]]]'
    path.write_text(f'{{"annotations": [{mask}, {field}}}]}}')
    with pytest.raises(AnnotationError) as caught:
        read_annotations(path)
    assert caught.value.place.startswith("annotation 0, ")


EVENT = "1,Bell,0.0,1.0,10.0,5.0,150,0.5"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("10.0", "400"), ("5.0", "400"), ("10.0", "nan"), ("1.0", "inf"), ("150", "1e308"),
        ("0.5", "4e9"), ("0.0", "2.0"), ("150", "-5"), ("Bell", "Bells"), ("1,", "x,"),
        ("0.5", "0.5,1"), ("1,Bell", "0,Bell"),
    ],
)  # fmt: skip
def test_sound_events_that_cannot_be_are_refused(tmp_path, old, new):
    path = tmp_path / "a.events.csv"
    head = "event,class,from_s,to_s,azimuth,elevation,distance_cm,score\n"
    path.write_text(head + EVENT + "\n")
    assert len(read_sound_events(path)) == 1
    path.write_text(head + EVENT.replace(old, new, 1) + "\n")
    with pytest.raises(DataError) as caught:
        read_sound_events(path)
    assert caught.value.place.startswith("line 2")


def overlapping(path):
    """Write a zip whose members are all over the same bytes."""
    torch.save({"a": torch.zeros(1000)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
    content = bytearray(path.read_bytes())
    data = members[f"{path.stem}/data/0"]
    for name, member in members.items():
        if name.endswith((".format_version", "byteorder", "version")):
            # The entry of the central directory: its offset is the 4 bytes before the name.
            place = content.rindex(name.encode())
            content[place - 4 : place] = struct.pack("<I", data.header_offset)
            del member
            break
    path.write_bytes(content)


def test_members_over_one_another_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    overlapping(path)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


def test_a_view_longer_than_its_bytes_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1).expand(1 << 30)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / "a.pth")
    assert caught.value.place == "key a"


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 20_000) + " = 1",
        "[" + " . ".join(['"a"'] * 100) + "]",
        "a = " + "[" * 100 + "]" * 100,
        "a = " + "{b = " * 100 + "1" + "}" * 100,
        "a = 1\n" + "b.'c'.\"d\"." * 30 + "e = 1",
    ],
)
def test_keys_of_many_parts_are_refused_before_they_are_parsed(text, monkeypatch):
    from saiseld.runtime import toml

    monkeypatch.setattr(toml, "tomllib", None)
    with pytest.raises(RecipeError) as caught:
        parse_toml(text, RecipeError, "a.toml")
    assert caught.value.advice


def test_toml_as_people_write_it_is_read():
    text = """
    title = "A sentence. With stops. And www.example.org/a.b.c.d.e" # a comment. with. stops.
    [room."of.one"]
    size = [1.5, 2.5, 3.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    table = { a.b = 1, c = [[1, 2], [3, 4]] }
    """
    assert parse_toml(text, RecipeError, "a")["room"]["of.one"]["table"]["a"] == {"b": 1}


RECORD = (
    '{"provenance": {"recording": "a", "video": "b", "weights": %s, "system": "s", "channels": '
    '"capsules", "precision": "int8", "version": "0"}, "frames": %s, "missing_pictures": %s}'
)


@pytest.mark.parametrize(
    ("weights", "frames", "missing"),
    [
        ("[1]", 3, 0), ('{"a": 1}', 3, 0), ("{}", '"3"', 0), ("{}", 1e999, 0), ("{}", 3, 4),
        ("{}", 3, -1), ("{}", 10**12, 0), ("null", 3, 0),
    ],
)  # fmt: skip
def test_a_sidecar_of_other_types_is_refused(tmp_path, weights, frames, missing):
    results = Results(tmp_path, "take")
    results.provenance.write_text(RECORD % ('{"w": "d"}', 3, 1))
    assert read_run_record(results).frames == 3
    results.provenance.write_text(RECORD % (weights, frames, missing))
    with pytest.raises(DataError) as caught:
        read_run_record(results)
    assert caught.value.source == str(results.provenance)


def test_rows_are_checked_where_a_table_is_made():
    found, _ = perturbed(0, "take", frames=4)
    with pytest.raises(CandidateError):
        replace(found, elevation=found.elevation + np.float32(400))
