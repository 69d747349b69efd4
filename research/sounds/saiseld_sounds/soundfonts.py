"""Instruments, bells and ringing telephones of a soundfont, played into clips with FluidSynth.

Every song is drawn from a seed, so the same soundfont gives the same clips.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from saiseld.runtime.errors import DataError

Play = Literal["melody", "strokes", "rings", "held", "hit"]
"""A tune with some chords; a key struck again and again; a key held, let go and held again; one
long key; one short key."""

Note = tuple[int, int, int, int]
"""Start and end in milliseconds, key and velocity."""


@dataclass(frozen=True)
class Song:
    """Notes for one preset."""

    bank: int
    program: int
    notes: Sequence[Note]


RATE = 44_100
SLOT_MS = 15_000
"""From the start of a song to the next one's: the longest, and time to die away."""
DRUM_BANK = 128
DRUM_CHANNEL = 9
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))
"""Major, minor and pentatonic, in semitones above the root."""


def draw_notes(play: Play, keys: tuple[int, int], rng: np.random.Generator) -> list[Note]:
    """Return a song of 0.3 to 8 seconds within the lowest and highest key given."""
    low, high = keys
    if play == "melody":
        return _draw_melody(low, high, rng)
    key = int(rng.integers(low, high + 1))
    if play == "hit":
        return [(0, 300, key, int(rng.integers(70, 121)))]
    if play == "held":
        return [(0, int(rng.uniform(2500, 7000)), key, 100)]
    if play == "rings":
        ring, pause = rng.uniform(800, 2000), rng.uniform(400, 2500)
        starts = np.arange(int(rng.integers(1, 4))) * (ring + pause)
        return [(int(start), int(start + ring), key, 100) for start in starts]
    period, count = rng.uniform(300, 1600), int(rng.integers(1, 7))
    other = min(high, key + int(rng.choice([0, 0, 3, 4, 5])))
    notes = [
        (int(n * period), int((n + 0.98) * period), (key, other)[n % 2], int(rng.integers(80, 121)))
        for n in range(count)
    ]
    start, _, key, velocity = notes[-1]
    return [*notes[:-1], (start, start + 1500, key, velocity)]


def _draw_melody(low: int, high: int, rng: np.random.Generator) -> list[Note]:
    scale = SCALES[int(rng.integers(len(SCALES)))]
    root = int(rng.integers(12))
    ladder = [key for key in range(low, high + 1) if (key - root) % 12 in scale] or [low]
    beat, chords = rng.uniform(150, 600), rng.random() < 0.3
    step, at, notes = int(rng.integers(len(ladder))), 0.0, list[Note]()
    end = rng.uniform(2000, 8000)
    while at < end:
        length = beat * rng.choice([0.5, 1, 1, 2, 3])
        stack = (0, 2, 4) if chords and rng.random() < 0.6 else (0,)
        velocity = int(rng.integers(60, 121))
        for third in stack:
            key = ladder[min(step + third, len(ladder) - 1)]
            notes.append((int(at), int(at + length * rng.uniform(0.6, 1)), key, velocity))
        at += length
        step = int(np.clip(step + rng.integers(-3, 4), 0, len(ladder) - 1))
    return notes


def midi_file(songs: Sequence[Song]) -> bytes:
    """Return a standard MIDI file (format 0, a tick a millisecond): a song every `SLOT_MS`."""
    events: list[tuple[int, bytes]] = []
    for number, song in enumerate(songs):
        begin, channel = number * SLOT_MS, DRUM_CHANNEL if song.bank == DRUM_BANK else 0
        events.append((begin, bytes([0xB0 | channel, 0, song.bank % 128])))
        events.append((begin, bytes([0xC0 | channel, song.program])))
        for start, end, key, velocity in song.notes:
            events.append((begin + start, bytes([0x90 | channel, key, velocity])))
            events.append((begin + max(end, start + 1), bytes([0x80 | channel, key, 0])))
    track, now = b"\0\xff\x51\x03" + (1_000_000).to_bytes(3, "big"), 0
    for at, message in sorted(events, key=lambda event: event[0]):
        track += _variable_length(at - now) + message
        now = at
    track += b"\0\xff\x2f\0"
    header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, 1000)
    return header + struct.pack(">4sI", b"MTrk", len(track)) + track


def _variable_length(number: int) -> bytes:
    """Return a number in MIDI's base 128, all but the last byte with the high bit."""
    digits = [number & 127]
    while number := number >> 7:
        digits.append(number & 127 | 128)
    return bytes(reversed(digits))


def play_songs(font: Path, songs: Sequence[Song]) -> list[NDArray[np.float32]]:
    """Return what a soundfont makes of each song: mono, dry, at `RATE`; silence without the preset.

    Raises
    ------
    DataError
        If FluidSynth is not installed or cannot play the soundfont.
    """
    if shutil.which("fluidsynth") is None:
        raise DataError(
            font,
            expected="fluidsynth to play it with",
            found="no fluidsynth on this computer",
            advice="Install fluidsynth, or leave the package out with --skip",
        )
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "song.mid", Path(folder) / "song.wav"
        score.write_bytes(midi_file(songs))
        options = ["-ni", "-q", "-r", str(RATE), "-R", "0", "-C", "0", "-g", "0.5", "-T", "wav"]
        done = subprocess.run(
            ["fluidsynth", *options, "-F", sound, font, score],
            capture_output=True,
            text=True,
            check=False,
        )
        # Without a soundfont that it can read, FluidSynth plays the computer's default one.
        if done.returncode or not sound.exists() or "error:" in done.stderr:
            complaint = done.stderr.strip().splitlines()
            raise DataError(
                font,
                expected="a soundfont that fluidsynth plays",
                found=complaint[-1] if complaint else f"exit status {done.returncode}",
            )
        samples, _ = soundfile.read(sound, dtype="float32", always_2d=True)
    slot = SLOT_MS * RATE // 1000
    mono: NDArray[np.float32] = np.pad(samples.mean(axis=1), (0, slot * len(songs)))
    return [mono[number * slot : (number + 1) * slot] for number in range(len(songs))]
