"""Tables of MP4 files that claim more than a file can hold are refused before FFmpeg sees them."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from tests.data.test_video import write_video

from saiseld.data.containers import open_container
from saiseld.data.mp4 import LISTED, check_claims
from saiseld.runtime.errors import VideoError


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def boxes(content: bytes) -> list[tuple[bytes, bytes]]:
    at, found = 0, []
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + size]))
        at += size
    return found


def with_edits(content: bytes, rows: list[int]) -> bytes:
    """Return a file whose tracks have other edits, of which each begins at a time."""
    edits = struct.pack(">II", 0, len(rows))
    edits += b"".join(struct.pack(">IiI", 1000, begin, 1 << 16) for begin in rows)
    written = b""
    for kind, body in boxes(content):
        if kind in (b"moov", b"trak"):
            body = with_edits(body, rows)
        if kind == b"edts":
            body = box(b"elst", edits)
        written += box(kind, body)
    return written


def refused(path: Path, content: bytes, place: str) -> None:
    path.write_bytes(content)
    with pytest.raises(VideoError) as told:
        open_container(path, VideoError)
    assert told.value.place == place


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("mp4") / "a.mp4"
    return write_video(path, [10 * k for k in range(20)], size=(64, 32)).read_bytes()


def test_what_is_sound_is_opened(tmp_path, video):
    path = tmp_path / "a.mp4"
    for content in (video, with_edits(video, [0]), with_edits(video, [-1, 0, 0])):
        path.write_bytes(content)
        with open_container(path, VideoError) as opened:
            assert opened.streams.video[0].frames == 20


def test_a_fragment_of_more_samples_than_bytes(tmp_path, video):
    run = box(b"trun", struct.pack(">IIi", 1, LISTED, 0))
    refused(tmp_path / "a.mp4", video + box(b"moof", box(b"traf", run)), "trun")


def test_fragments_are_counted_together(tmp_path, video):
    run = box(b"moof", box(b"traf", box(b"trun", struct.pack(">IIi", 1, 2000, 0))))
    refused(tmp_path / "a.mp4", video + run * 9, "trun")


def test_edits_that_repeat_all_samples(tmp_path, video):
    refused(tmp_path / "a.mp4", with_edits(video, [0] * 1_200_000), "elst")


@pytest.mark.parametrize(("kind", "before"), [(b"iloc", b"\2\0\0\0\0\0"), (b"iinf", b"\1\0\0\0")])
def test_items_of_pictures_that_are_not_there(tmp_path, video, kind, before):
    claimed = box(kind, before + struct.pack(">I", 1 << 28) + bytes(64))
    refused(tmp_path / "a.mp4", video + box(b"meta", bytes(4) + claimed), kind.decode())


@pytest.mark.parametrize("claimed", [1 << 30, None])
def test_a_compressed_table_is_looked_into(tmp_path, video, claimed):
    table = next(body for kind, body in boxes(video) if kind == b"moov")
    moov = bytearray(box(b"moov", table))
    at = moov.rfind(b"stsz") + 8
    moov[at : at + 8] = struct.pack(">II", 1, 1 << 25)
    size = struct.pack(">I", claimed or len(moov))
    parts = box(b"dcom", b"zlib") + box(b"cmvd", size + zlib.compress(moov))
    others = b"".join(box(*one) for one in boxes(video) if one[0] != b"moov")
    content = others + box(b"moov", box(b"cmov", parts))
    refused(tmp_path / "a.mp4", content, "cmvd" if claimed else "stsz")


def test_numbers_that_look_like_a_box_are_numbers(tmp_path, video):
    """A table may hold any bytes: those of a box's name too, in its place."""
    moov = bytearray(box(b"moov", next(body for kind, body in boxes(video) if kind == b"moov")))
    at = moov.rfind(b"stsz") + 16
    moov[at : at + 16] = b"trun" + b"\xff" * 12
    path = tmp_path / "a.mp4"
    path.write_bytes(box(b"ftyp", b"isom") + moov)
    check_claims(path, VideoError)
    refused(path, box(b"ftyp", b"isom") + box(b"udta", bytes(moov[at - 20 :])), "trun")


@pytest.mark.parametrize("kind", [b"trun", b"elst", b"cmvd", b"stsz"])
def test_many_that_look_like_claims_are_looked_at_once_each(tmp_path, video, kind):
    """A check that goes over all boxes for each of them would not end."""
    many = struct.pack(">I4s", 8, kind) * 100_000
    path = tmp_path / "a.mp4"
    path.write_bytes(video + box(b"udta", many))
    with suppress(VideoError):
        check_claims(path, VideoError)


def test_a_table_of_contents_is_not_compressed_twice(tmp_path, video):
    def packed(moov: bytes) -> bytes:
        unpacked = struct.pack(">I", len(moov)) + zlib.compress(moov)
        return box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", unpacked)))

    moov = box(b"moov", next(body for kind, body in boxes(video) if kind == b"moov"))
    check = box(b"ftyp", b"isom")
    path = tmp_path / "a.mp4"
    path.write_bytes(check + packed(moov))
    check_claims(path, VideoError)
    refused(path, check + packed(packed(moov)), "cmvd")
