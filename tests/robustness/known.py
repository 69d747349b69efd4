"""Files whose content is known: what was written is what is read, or the file is refused.

The bytes of an input choose what is written, in which form, and what becomes of the file: left as
it is, written again in a form that means the same, or cut off.
"""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import av
import numpy as np
import soundfile

from saiseld.conventions.sphere import unit_vector
from saiseld.data.recordings import open_recording
from saiseld.data.video import open_video
from saiseld.formats.annotation import EnergyMask, read_annotations, write_annotations
from saiseld.formats.candidates import read_candidates, write_candidates
from saiseld.formats.dcase_csv import SourceRows, read_dcase_csv, write_dcase_csv
from saiseld.formats.events import Event, read_events, write_events
from saiseld.runtime.errors import SaiseldError
from tests.reference.perturbed_labels import perturbed
from tests.robustness.containers import AIFF, CAF, RIFF, Chunk

_SOUNDS = (
    ("WAV", "LITTLE", RIFF), ("WAV", "BIG", None), ("WAVEX", "FILE", RIFF), ("RF64", "FILE", None),
    ("W64", "FILE", None), ("AIFF", "FILE", AIFF), ("CAF", "FILE", CAF), ("FLAC", "FILE", None),
)  # fmt: skip
_CODECS = (("mp4", "libx264"), ("mp4", "mpeg4"), ("mkv", "mpeg4"), ("avi", "mpeg4"))
_GREY = 40
"""Between the levels of two pictures."""


def _sound(folder: Path, random: Random) -> None:
    kind, endian, grammar = random.choice(_SOUNDS)
    samples = random.randrange(2400, 9700)
    noise = np.random.default_rng(random.getrandbits(32)).integers(-9000, 9000, (samples, 4))
    path = folder / "a.wav"
    subtype = random.choice(("PCM_16", "PCM_24")) if kind == "FLAC" else random.choice(
        ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
    )  # fmt: skip
    whole = (noise << 16).astype(np.int32)
    sound = whole if subtype.startswith("PCM") else (noise / 32768)
    soundfile.write(path, sound, 24000, format=kind, subtype=subtype, endian=endian)
    what = random.choice(("whole", "cut", "cut", "more", "chunk"))
    content = path.read_bytes()
    if what == "cut":
        content = content[: random.randrange(1, len(content))]
    elif what == "more":  # as recorders leave behind the sound
        content += random.choice((bytes(512), b"LIST\4\0\0\0abcd", b"\0"))
    elif what == "chunk" and grammar is not None:
        chunks = grammar.parse(content)
        among = chunks[0].inside if chunks[0].inside is not None else chunks
        junk = Chunk(b"JUNK", random.randbytes(random.choice((0, 4, 27, 5000))))
        among.insert(len(among) if random.random() < 0.3 else len(among) - 1, junk)
        content = b"".join(map(grammar.write, chunks))
    path.write_bytes(content)
    with _may_be_refused(what != "whole"):
        recording = open_recording(path)
        found = np.concatenate(list(recording.blocks(tetrahedral=False)))
        assert len(found) == samples // 2400 * 2400, f"{kind} {what}: {len(found)} of {samples}"
        assert np.abs(found - noise[: len(found)] / 32768).max() < 1e-6, f"{kind} {what}: others"


def _video(folder: Path, random: Random) -> None:
    suffix, codec = random.choice(_CODECS)
    count, path = random.randrange(1, 6), folder / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for k in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((32, 64, 3), _GREY * k, np.uint8), "rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    what = random.choice(("whole", "cut", "cut", "more"))
    content = path.read_bytes()
    if what == "cut":
        content = content[: random.randrange(1, len(content))]
    elif what == "more":
        content += bytes(random.choice((1, 8, 700)))
    path.write_bytes(content)
    with _may_be_refused(what != "whole"):
        frames = list(open_video(path))
        assert len(frames) <= count and (what != "whole" or len(frames) == count), what
        for k, picture in enumerate(frames):
            assert picture is not None or what != "whole"
            if picture is not None:
                assert abs(float(picture.mean()) - _GREY * k) < _GREY / 3, f"{what}: frame {k}"


@contextmanager
def _may_be_refused(may: bool) -> Iterator[None]:
    """Let a refusal pass as one where the file is no plain one."""
    try:
        yield
    except SaiseldError as error:
        assert may, f"refused what it wrote: {error}"
        raise


def _masks(folder: Path, random: Random) -> None:
    rng, path = np.random.default_rng(random.getrandbits(32)), folder / "a.json"
    masks = []
    for number in range(random.randrange(4)):
        blobs = [np.round(rng.random((n, 3)) * (360, 180, 1), 4) for n in rng.integers(0, 5, 2)]
        score, far = float(np.round(rng.random(), 4)), random.choice((None, 12.5, 300.0))
        masks.append(EnergyMask(number, number, random.randrange(13), tuple(blobs), far, score))
    write_annotations(path, masks)
    again = random.random() < 0.8
    if again:
        text = json.dumps(
            _shuffled(json.loads(path.read_text()), random), indent=random.choice((None, 2))
        )
        if random.random() < 0.3:
            text = re.sub(r"\b0\.([1-9])\b", r"\1e-1", text.replace('"score"', '"\\u0073core"'))
        path.write_text(random.choice(("", "\n", " ")) + text)
    with _may_be_refused(again):
        found = read_annotations(path, predictions=True)
        assert len(found) == len(masks)
        for one, other in zip(found, masks, strict=True):
            for name in ("frame", "instance_id", "class_id", "distance_cm", "score"):
                assert getattr(one, name) == getattr(other, name)
            for blob, said in zip(one.segmentation, other.segmentation, strict=True):
                assert np.allclose(blob, said, rtol=0, atol=1e-6) and blob.shape == said.shape


def _shuffled(value: object, random: Random) -> object:
    """Return JSON that means the same: keys in another order, keys that nobody knows."""
    if isinstance(value, dict):
        keys = [*value, *(["comment"] if random.random() < 0.2 else [])]
        random.shuffle(keys)
        return {key: _shuffled(value.get(key, {"by": [1]}), random) for key in keys}
    if isinstance(value, list):
        return [_shuffled(one, random) for one in value]
    return value


def _candidates(folder: Path, random: Random) -> None:
    import pyarrow.parquet as pq

    table, _ = perturbed(random.randrange(50), "take", frames=4)
    table = table.take(np.arange(len(table)) < random.randrange(len(table) + 1))
    path = folder / "take.candidates.parquet"
    write_candidates(path, table)
    again = random.random() < 0.8
    if again:
        written = pq.read_table(path)
        held = io.BytesIO()
        pq.write_table(
            written,
            held,
            compression=random.choice(("none", "snappy", "zstd", "gzip", "brotli", "lz4")),
            use_dictionary=random.choice((True, False, ["frame", "score"])),
            data_page_version=random.choice(("1.0", "2.0")),
            data_page_size=random.choice((100, 10_000, 1 << 20)),
            row_group_size=random.choice((1, 3, 100)),
            write_page_checksum=random.random() < 0.5,
            write_statistics=random.random() < 0.5,
            version=random.choice(("1.0", "2.4", "2.6")),
        )
        path.write_bytes(held.getvalue())
    with _may_be_refused(again):
        found = read_candidates(path)
        for name in ("frame", "class_id", "score", "box", "distance_cm", "energy_map"):
            said = getattr(table, name)
            said = said.astype(np.float16) if name == "energy_map" else said
            np.testing.assert_array_equal(getattr(found, name), said)


def _events(folder: Path, random: Random) -> None:
    far = random.random() < 0.5
    events = [
        Event(
            random.randrange(600), random.randrange(13), random.randrange(3),
            float(random.randrange(-180, 180)), float(random.randrange(-89, 90)),
            float(random.randrange(20, 900)) if far else None,
        )
        for _ in range(random.randrange(1, 6))
    ]  # fmt: skip
    path, what = folder / "a.csv", random.randrange(5)
    write_events(path, events)
    columns = [
        "frame",
        "class",
        "source",
        "azimuth",
        "elevation",
        *(["distance_cm"] if far else []),
    ]
    rows = [list(map(str, event[: len(columns)])) for event in events]
    if what == 1:  # named, in any order
        order = list(range(len(columns)))
        random.shuffle(order)
        rows = [[row[k] for k in order] for row in [columns, *rows]]
    elif what == 2:  # as vectors
        rows = [["frame", "class", "source", "x", "y", "z"]]
        vectors = [unit_vector(e.azimuth, e.elevation) for e in events]
        rows += [
            [str(v) for v in (*e[:3], *(f"{part:.9f}" for part in vector))]
            for e, vector in zip(events, vectors, strict=True)
        ]
    if what:
        text = random.choice(("\n", "\r\n")).join(",".join(row) for row in rows)
        path.write_bytes(("\ufeff" * random.randrange(2) + text + "\n").encode())
    with _may_be_refused(bool(what)):
        for one, said in zip(read_events(path), events, strict=True):
            assert one[:3] == said[:3]
            assert abs((one.azimuth - said.azimuth + 180) % 360 - 180) < 1e-3
            assert abs(one.elevation - said.elevation) < 1e-3
            assert what == 2 or one.distance_cm == said.distance_cm
    rows_ = SourceRows.of(
        [(*e[:5], *([e.distance_cm / 100] if e.distance_cm else [])) for e in events]
    )
    write_dcase_csv(folder / "b.csv", rows_)
    with _may_be_refused(far):  # six columns may be either
        found = read_dcase_csv(folder / "b.csv", distance_unit="m").rows
        assert all(
            np.allclose(getattr(found, n), getattr(rows_, n), equal_nan=True)
            for n in SourceRows.__slots__
        )


KNOWN: dict[str, Callable[[Path, Random], None]] = {
    "known sound": _sound,
    "known video": _video,
    "known masks": _masks,
    "known candidates": _candidates,
    "known events": _events,
}


def examples(folder: Path) -> list[Path]:
    """Write a first input; its bytes are all that it says."""
    (folder / "seed").write_bytes(b"known")
    return [folder / "seed"]


def read_known(name: str) -> Callable[[Path], None]:
    """Return what writes a file as an input's bytes choose, reads it and compares."""

    def read(path: Path) -> None:
        with TemporaryDirectory(dir=path.parent) as scratch:
            KNOWN[name](Path(scratch), Random(zlib.crc32(path.read_bytes())))

    return read
