"""Codebooks of Vorbis that claim more entries than any encoder makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from saiseld.data.sound_files import open_sound_file
from saiseld.data.vorbis import ENTRIES, check_codebooks
from saiseld.runtime.errors import AudioError


@pytest.mark.parametrize("channels", [1, 4, 8])
def test_what_an_encoder_makes_is_within_the_limit(tmp_path: Path, monkeypatch, channels):
    """And all of its codebooks are found: the sum is that of libvorbis' own."""
    path = tmp_path / "a.ogg"
    noise = np.random.default_rng(0).normal(0, 0.1, (4800, channels))
    soundfile.write(path, noise, 48_000, format="OGG", subtype="VORBIS")
    check_codebooks(path, AudioError)
    monkeypatch.setattr("saiseld.data.vorbis.ENTRIES", 4497)
    with pytest.raises(AudioError, match="found 4,498 or more"):
        check_codebooks(path, AudioError)


def bits(*numbers: tuple[int, int]) -> bytes:
    """Return numbers, each in so many bits, as Vorbis packs them."""
    value = place = 0
    for number, size in numbers:
        value |= number << place
        place += size
    return value.to_bytes((place + 7) // 8, "little")


@pytest.mark.parametrize("ordered", [True, False])
def test_codebooks_that_claim_much_are_refused_before_they_are_made(tmp_path: Path, ordered):
    size = 22
    lengths = [(1, 1), (size - 1, 5), (1 << size, size + 1)] if ordered else [(0, 1), (1, 1)]
    book = [(0x564342, 24), (1, 16), (1 << size, 24), *lengths, (0, 4)]
    setup = b"\x05vorbis" + bits((255, 8), *book * (256 if ordered else 1)) + bytes(80)
    lacing = bytes([255] * (len(setup) // 255) + [len(setup) % 255])
    page = b"OggS\0" + bytes(21) + bytes([len(lacing)]) + lacing + setup
    path = tmp_path / "a.ogg"
    path.write_bytes(page)
    with pytest.raises(AudioError) as told:
        open_sound_file(path)
    assert told.value.place == "codebooks" and f"{ENTRIES:,}" in told.value.expected
