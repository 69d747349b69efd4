"""Songs drawn for soundfonts, and FluidSynth's way with them, on a soundfont of one sine."""

from __future__ import annotations

import shutil
import struct

import numpy as np
import pytest
from saiseld_sounds.soundfonts import RATE, Song, draw_notes, midi_file, play_songs

from saiseld.runtime.errors import DataError

needs_fluidsynth = pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="needs fluidsynth")


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def soundfont() -> bytes:
    """A SoundFont 2 file whose preset 0:5 loops a period of a sine, 441 Hz at key 60."""
    wave = (2**14 * np.sin(2 * np.pi * np.arange(200) / 100)).astype("<i2").tobytes() + bytes(92)

    def bag(generators: int) -> bytes:
        return struct.pack("<4H", 0, 0, generators, 0)

    def named(form: str, name: bytes, *values: int) -> bytes:
        return struct.pack(f"<20s{form}", name, *values)

    header = "IIIIIBbHH"
    tables = {
        b"phdr": named("HHHIII", b"sine", 5, 0, 0, 0, 0, 0)
        + named("HHHIII", b"", 0, 0, 1, 0, 0, 0),
        b"pbag": bag(1),
        b"pmod": bytes(10),
        b"pgen": struct.pack("<4H", 41, 0, 0, 0),  # the instrument
        b"inst": named("H", b"sine", 0) + named("H", b"", 1),
        b"ibag": bag(2),
        b"imod": bytes(10),
        b"igen": struct.pack("<6H", 54, 1, 53, 0, 0, 0),  # looped; the sample
        b"shdr": named(header, b"sine", 0, 200, 50, 150, 44_100, 60, 0, 0, 1)
        + named(header, b"EOS", *(0,) * 9),
    }
    hydra = b"".join(chunk(name, content) for name, content in tables.items())
    info = chunk(b"ifil", struct.pack("<HH", 2, 1)) + chunk(b"INAM", b"test")
    return chunk(
        b"RIFF",
        b"sfbk"
        + chunk(b"LIST", b"INFO" + info)
        + chunk(b"LIST", b"sdta" + chunk(b"smpl", wave))
        + chunk(b"LIST", b"pdta" + hydra),
    )


@pytest.mark.parametrize("play", ["melody", "strokes", "rings", "held", "hit"])
def test_songs_keep_to_their_keys_and_seed(play):
    for seed in range(20):
        notes = draw_notes(play, (55, 67), np.random.default_rng(seed))
        assert notes == draw_notes(play, (55, 67), np.random.default_rng(seed))
        assert all(0 <= start < end < 12_000 for start, end, _, _ in notes)
        assert all(55 <= key <= 67 and 1 <= velocity <= 127 for _, _, key, velocity in notes)
    assert draw_notes(play, (60, 60), np.random.default_rng(0))


def test_a_song_is_a_midi_file():
    songs = [Song(8, 14, [(0, 300, 60, 100)]), Song(128, 8, [])]
    assert midi_file(songs) == bytes.fromhex(
        "4d546864 00000006 0000 0001 03e8"  # format 0, one track, 1000 ticks a quarter note
        "4d54726b 00000023"
        "00 ff5103 0f4240"  # a quarter note a second
        "00 b00008 00 c00e"  # bank, program
        "00 903c64 822c 803c00"  # key down; 300 ms later, up
        "f26c b90000 00 c908"  # 15 s after the first song, the second's
        "00 ff2f00"
    )


@needs_fluidsynth
def test_a_preset_sounds_at_its_pitch_for_its_time(tmp_path):
    font = tmp_path / "sine.sf2"
    font.write_bytes(soundfont())
    songs = [Song(0, 5, [(0, 1000, key, 127)]) for key in (72, 60)]
    for hz, samples in zip((882, 441), play_songs(font, songs), strict=True):
        spectrum = np.abs(np.fft.rfft(samples[: RATE // 2]))
        assert spectrum.argmax() * 2 == pytest.approx(hz, abs=4)
        loud = np.flatnonzero(np.abs(samples) > 0.1 * np.abs(samples).max())
        assert (loud[-1] - loud[0]) / RATE == pytest.approx(1.0, abs=0.1)


@needs_fluidsynth
def test_a_preset_without_notes_is_silent(tmp_path):
    font = tmp_path / "sine.sf2"
    font.write_bytes(soundfont())
    first, last = play_songs(font, [Song(0, 5, [(0, 300, 60, 127)]), Song(0, 5, [])])
    assert first.any() and len(last) == len(first) and not last.any()


@needs_fluidsynth
def test_what_cannot_be_played_is_told(tmp_path):
    font = tmp_path / "x.sf2"
    font.write_bytes(b"junk")
    with pytest.raises(DataError, match=r"x\.sf2: expected a soundfont that fluidsynth plays"):
        play_songs(font, [Song(0, 5, [(0, 300, 60, 100)])])


def test_a_missing_fluidsynth_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"no fluidsynth on this computer.*--skip"):
        play_songs(tmp_path / "x.sf2", [])
