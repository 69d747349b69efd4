"""The collector of real sounds, on small packages made here: nothing is downloaded."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import re
import shutil
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image
from saiseld_sounds import bank, clips, copies, packages
from saiseld_sounds.collect import SOURCES, collect
from saiseld_sounds.nested import read_openclonk_group, read_qt_resource
from saiseld_sounds.packages import fetch, read_members, version_of
from saiseld_sounds.panoramas import decode_panorama, tone_map
from saiseld_sounds.sources import read_sources
from saiseld_sounds.voices import PITCH_HZ

from saiseld.conventions.taxonomy import CLASS_FOLDERS
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.errors import AudioError, DataError, OutputError, RecipeError
from saiseld.simulation.sounds.bank import BANK_FOLDERS, read_bank

# Made-up packages -------------------------------------------------------------------------------


def wav(seed: int, seconds: float = 0.6, rate: int = 44_100, suffix: str = "WAV") -> bytes:
    """A tone that no other seed gives, with overtones and its own envelope, in noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    swell = np.interp(t, np.linspace(0, seconds, 9), rng.uniform(0.05, 1, 9))
    tone = sum(np.sin(2 * np.pi * rng.uniform(200, 6000) * t) for _ in range(3))
    file = io.BytesIO()
    soundfile.write(file, 0.1 * swell * (tone + rng.normal(0, 0.1, len(t))), rate, format=suffix)
    return file.getvalue()


def tgz(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def zipped(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def qt_resource(name: str, content: bytes, *, packed: bool = False, child: int = 1) -> bytes:
    """A version-3 resource: a root folder whose one child, ``child``, is a file."""
    encoded = name.encode("utf-16-be")
    names = struct.pack(">HI", len(name), 0) + encoded
    stored = struct.pack(">I", len(content)) + zlib.compress(content) if packed else content
    root = struct.pack(">IHIIQ", 0, 2, 1, child, 0)
    file = struct.pack(">IHHHIQ", 0, int(packed), 0, 0, 0, 0)
    data = struct.pack(">I", len(stored)) + stored
    at = 24
    return (
        struct.pack(">4sIIIII", b"qres", 3, at, at + 44, at + 44 + len(data), 0)
        + root
        + file
        + data
        + names
    )


def openclonk_group(members: Mapping[str, bytes | dict[str, bytes]]) -> bytes:
    def group(entries: Mapping[str, bytes | dict[str, bytes]]) -> bytes:
        header = bytearray(struct.pack("<28siiI", b"RedWolf Design GrpFolder", 1, 2, len(entries)))
        header += bytes(204 - len(header))
        for at in range(0, 202, 3):
            header[at], header[at + 2] = header[at + 2], header[at]
        table, body = b"", b""
        for name, value in entries.items():
            content = group(value) if isinstance(value, dict) else value
            row = (name.encode(), 0, isinstance(value, dict), len(content), 0, len(body))
            table += struct.pack("<260siiIiI", *row).ljust(316, b"\0")
            body += content
        return bytes(byte ^ 237 for byte in header) + table + body

    return b"\x1e\x8c" + gzip.compress(group(members))[2:]


# Packages ---------------------------------------------------------------------------------------


def fake_manager(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_package_is_downloaded_once(tmp_path, monkeypatch):
    log = tmp_path / "log"
    fake_manager(
        tmp_path / "bin", monkeypatch, f'echo "$@" >> {log}\necho x > scope-sounds-1.2.3.tgz'
    )
    first = fetch("@scope/sounds", "npm", tmp_path)
    assert fetch("@scope/sounds", "npm", tmp_path) == first
    assert log.read_text() == "pack --silent --ignore-scripts @scope/sounds\n"
    assert version_of(first, "@scope/sounds") == "1.2.3"


def test_a_failed_download_tells_why_and_leaves_nothing(tmp_path, monkeypatch):
    fake_manager(tmp_path / "bin", monkeypatch, "echo half > x.tgz\necho 404 no such >&2\nexit 1")
    with pytest.raises(DataError, match=r"sounds: expected one archive from npm.*404 no such"):
        fetch("sounds", "npm", tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "npm"]


def test_a_missing_manager_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"sounds: expected apt-get.*no apt-get.*--skip"):
        fetch("sounds", "apt", tmp_path)


@pytest.mark.parametrize(
    ("file", "package", "version"),
    [
        ("a-b_1%3a2.0-1_all.deb", "a-b", "1:2.0-1"),
        ("a_b-3.1-py3-none-any.whl", "a-b", "3.1"),
        ("a-b-0.2.tgz", "@a/b", "0.2"),
    ],
)
def test_versions(file, package, version):
    assert version_of(Path(file), package) == version


def test_members_of_every_kind_of_archive(tmp_path):
    nested = {
        "x.pk3": zipped({"snd/a.ogg": b"zip"}),
        "x.rcc": qt_resource("a.ogg", b"qt"),
        "packed.rcc": qt_resource("a.ogg", b"qt packed", packed=True),
        "x.ocg": openclonk_group({"In.ocg": {"a.ogg": b"group"}, "b.txt": b"no"}),
    }
    archive = tgz(tmp_path / "p" / "p-1.tgz", nested | {"plain.ogg": b"plain", "other": b"no"})
    found = dict(read_members(archive, ["plain*", "*.pk3!*", "*.rcc!*", "*.ocg!*/*.ogg"]))
    assert found == {
        "plain.ogg": b"plain",
        "x.pk3!snd/a.ogg": b"zip",
        "x.rcc!a.ogg": b"qt",
        "packed.rcc!a.ogg": b"qt packed",
        "x.ocg!In.ocg/a.ogg": b"group",
    }


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_members_of_a_debian_package(tmp_path):
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: M <m@example.org>\nDescription: d\n"
    )
    (root / "usr").mkdir()
    (root / "usr/a.wav").write_bytes(b"sound")
    (root / "usr/link.wav").symlink_to("a.wav")
    archive = tmp_path / "p_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", root, archive], check=True, capture_output=True)
    assert list(read_members(archive, ["usr/*.wav"])) == [("usr/a.wav", b"sound")]
    archive.write_bytes(archive.read_bytes()[:-50])
    with pytest.raises(DataError, match="expected an undamaged archive"):
        list(read_members(archive, ["usr/*.wav"]))


def test_damaged_and_hostile_archives_are_named(tmp_path, monkeypatch):
    cycle = qt_resource("a.ogg", b"x", child=0)
    for number, (name, content, complaint) in enumerate(
        [
            ("x.pk3", b"not a zip", "not a zip"),
            ("x.rcc", cycle, "inside itself"),
            ("x.rcc", qt_resource("a.ogg", b"x" * 99)[:-40], "after the file|unpack"),
            ("x.ocg", b"\x1e\x8cjunk", "Error -3|header"),
            ("x.7z", b"", "unknown kind"),
        ]
    ):
        archive = tgz(tmp_path / str(number) / "p-1.tgz", {name: content})
        with pytest.raises(DataError, match=rf"p-1\.tgz: {name}: .*({complaint})"):
            list(read_members(archive, [f"{name}!*"]))
    monkeypatch.setattr(packages, "MAX_MEMBER_BYTES", 1000)
    bomb = tgz(tmp_path / "bomb" / "p-1.tgz", {"x.pk3": zipped({"a.ogg": bytes(5000)})})
    with pytest.raises(DataError, match=r"a\.ogg larger than 1000 bytes"):
        list(read_members(bomb, ["*.pk3!*"]))


def test_a_cut_nested_archive_gives_no_wrong_content():
    whole = b"x" * 20
    for read, data in [
        (read_qt_resource, qt_resource("a.ogg", whole)),
        (read_openclonk_group, openclonk_group({"a.ogg": whole})),
    ]:
        assert [content for _, content in read(data, 10_000)] == [whole]
        for end in range(4, len(data) - 1, 7):
            with suppress(ValueError, struct.error, zlib.error):
                assert {content for _, content in read(data[:end], 10_000)} <= {whole}


# Clips ------------------------------------------------------------------------------------------


def test_a_clip_is_limited_trimmed_and_levelled():
    rng = np.random.default_rng(0)
    noise = np.zeros(88_200, np.float32)
    noise[22_050:66_150] = rng.normal(0, 0.2, 44_100)
    clip = clips.level(clips.clean(noise + 0.1, 44_100))
    assert len(clip) / SAMPLE_RATE == pytest.approx(1.0, abs=0.06)
    power = np.abs(np.fft.rfft(clip)) ** 2
    hz = np.fft.rfftfreq(len(clip), 1 / SAMPLE_RATE)
    inside, outside = power[hz < 6800].mean(), power[hz > 7300].mean()
    assert 10 * np.log10(outside / inside) < -50
    assert np.sqrt(np.mean(clip**2)) == pytest.approx(clips.ACTIVE_RMS, rel=0.05)
    click = np.zeros(2400, np.float32)
    click[1200] = 1
    assert np.abs(clips.level(click)).max() == pytest.approx(clips.PEAK, rel=1e-3)


def test_unusable_files_are_refused_by_name():
    for content, complaint in [
        (b"junk", "readable sound file"),
        (wav(0, rate=11_025), "at least 16000 Hz.*found 11025 Hz"),
        (wav(0, seconds=0), "some sound"),
    ]:
        with pytest.raises(AudioError, match=rf"p: a\.wav: expected .*{complaint}"):
            clips.decode("p: a.wav", content)


def test_g722_is_decoded():
    tone = (8000 * np.sin(2 * np.pi * 1000 / 16_000 * np.arange(16_000))).astype(np.int16)
    encoder = av.CodecContext.create("g722", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16_000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(tone[None], "s16", "mono")
    frame.sample_rate = 16_000
    content = b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))
    samples, rate = clips.decode("a.g722", content)
    spectrum = np.abs(np.fft.rfft(samples))
    assert rate == 16_000
    assert spectrum.argmax() * rate / len(samples) == pytest.approx(1000, abs=2)


def test_a_recoded_copy_is_told_and_another_sound_is_not():
    seen = copies.Seen()
    for seed in range(6):
        assert not seen.is_copy(clips.clean(*clips.decode("a", wav(seed))))
    for seed in range(6):
        samples, rate = clips.decode("a", wav(seed))
        file = io.BytesIO()
        soundfile.write(file, 0.3 * samples, rate, format="OGG", subtype="VORBIS")
        assert seen.is_copy(clips.clean(*clips.decode("a.ogg", file.getvalue())))


@pytest.mark.parametrize("class_folder", list(clips.RHYTHMS))
def test_sequences_keep_their_rhythm(class_folder):
    rhythm = clips.RHYTHMS[class_folder]
    hit = np.exp(-np.arange(1200) / 100).astype(np.float32)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        row = clips.sequence([hit, hit], rhythm, rng)
        starts = np.flatnonzero((row[1:] > 0.4) & (np.maximum.accumulate(row)[:-1] > -1))
        onsets = starts[np.diff(starts, prepend=-SAMPLE_RATE) > SAMPLE_RATE // 10]
        low, high = rhythm.hits_a_second
        assert rhythm.hits[0] <= len(onsets) <= rhythm.hits[1]
        mean_rate = (len(onsets) - 1) / (onsets[-1] - onsets[0]) * SAMPLE_RATE
        assert 0.8 * low <= mean_rate <= 1.2 * high


def test_long_recordings_give_excerpts_that_do_not_overlap():
    second = SAMPLE_RATE
    parts = clips.excerpts(np.arange(60 * second, dtype=np.float32))
    assert len(parts) == clips.EXCERPTS
    assert parts[0][-1] < parts[1][0]
    assert [len(p) for p in clips.excerpts(np.zeros(15 * second, np.float32))] == [12 * second]


# Pictures ---------------------------------------------------------------------------------------


def exr(width: int, height: int) -> bytes:
    encoder = av.CodecContext.create("exr", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "gbrpf32le"
    frame = av.VideoFrame(width, height, "gbrpf32le")
    for plane, light in zip(frame.planes, (0.5, 0.25, 1.0), strict=True):  # green, blue, red
        plane.update(np.full(plane.buffer_size // 4, light, "<f4").tobytes())
    return b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))


def test_panoramas_are_decoded():
    stored = exr(64, 32)
    module = b"export default 'data:application/exr;base64," + base64.b64encode(stored) + b"'"
    for name, content in [("a.exr", stored), ("a.exr.js", module)]:
        picture = decode_panorama(name, content)
        red, green, blue = np.asarray(picture)[100, 100].astype(int)
        assert picture.size == (1024, 512)
        assert red > green > blue > 0
    grey = tone_map(np.full((4, 8, 3), 7.0, np.float32))
    assert np.all(grey == round(255 * (0.18 / 1.18) ** (1 / 2.2)))


def test_bad_pictures_are_named():
    square = io.BytesIO()
    Image.new("RGB", (64, 64)).save(square, "PNG")
    for name, content, complaint in [
        ("a.png", square.getvalue(), "twice as wide as high, found 64 x 64"),
        ("a.jpg", b"junk", "PNG or JPEG picture"),
        ("a.exr", b"junk", "readable picture"),
        ("a.exr.js", b"base64,%%%'", "readable picture"),
    ]:
        with pytest.raises(DataError, match=rf"{re.escape(name)}: expected a .*{complaint}"):
            decode_panorama(name, content)


# The whole --------------------------------------------------------------------------------------

TABLE = """
[package]
"@a/sounds" = { manager = "npm", licence = "CC0-1.0" }
rooms = { manager = "pip", licence = "MIT" }
"""


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A cache with two packages and a table that has every class; one clip is unreadable."""
    monkeypatch.setattr(bank, "MIN_TRAIN_CLIPS", 3)
    monkeypatch.setattr(bank, "GROUP_SEQUENCES", {"train": 2, "test": 1})
    for name in list(PITCH_HZ):  # the made-up voices are no voices
        monkeypatch.delitem(PITCH_HZ, name)
    table, members = TABLE, {"package/package.json": b'{"license": "CC0-1.0"}'}
    for index, name in enumerate(CLASS_FOLDERS):
        for side, split in enumerate(("train", "test")):
            members[f"package/{split}/{name}/../../evil.wav"] = wav(2 * index + side)
            use = "hits" if name == "knock" else "recordings"
            table += (
                f'[[clips]]\nclass = "{name}"\nsplit = "{split}"\npackage = "@a/sounds"\n'
                f'source = "{split}er"\n'
                f'paths = ["package/{split}/{name}/*"]\nuse = "{use}"\n'
            )
    members["package/train/bell/copy.wav"] = wav(2 * CLASS_FOLDERS.index("bell"), suffix="FLAC")
    members["package/train/bell/broken.wav"] = b"junk"
    picture = io.BytesIO()
    Image.new("RGB", (64, 32), "teal").save(picture, "PNG")
    for split in ("train", "test"):
        table += f'[[panoramas]]\nsplit = "{split}"\npackage = "rooms"\npaths = ["{split}*"]\n'
    cache = tmp_path / "cache"
    tgz(cache / "npm/@a__sounds/a-sounds-1.0.tgz", members)
    wheel = cache / "pip/rooms/rooms-2.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    rooms = {f"{split}.png": picture.getvalue() for split in ("train", "test")}
    wheel.write_bytes(zipped(rooms | {"rooms.dist-info/METADATA": b"License: MIT"}))
    path = tmp_path / "sources.toml"
    path.write_text(table)
    return {"cache": cache, "sources": path}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_bank_and_rooms(tmp_path, world):
    sounds, rooms = tmp_path / "sounds", tmp_path / "rooms"
    collect(sounds, rooms, **world)
    read = read_bank(sounds)
    assert not read.skipped
    knock, bell = CLASS_FOLDERS.index("knock"), CLASS_FOLDERS.index("bell")
    assert [len(read.clips["train"][c]) for c in (bell, knock)] == [3, 3]
    assert [len(read.clips["test"][c]) for c in (bell, knock)] == [1, 1]

    rows = list(csv.DictReader((sounds / "ATTRIBUTION.csv").read_text().splitlines()))
    wavs = {str(p.relative_to(sounds)) for p in sounds.rglob("*.wav")}
    assert {row["file"] for row in rows} == wavs
    for row in rows:
        info = soundfile.info(sounds / row["file"])
        assert (info.samplerate, info.channels, info.subtype) == (SAMPLE_RATE, 1, "PCM_16")
        assert info.duration == pytest.approx(float(row["seconds"]), abs=1e-3)
        assert row["kind"] in Path(row["file"]).name
        real = row["kind"] != "procedural"
        assert (row["package"], row["version"]) == (("@a/sounds", "1.0") if real else ("", ""))
    assert all(row["kind"] != "procedural" for row in rows if row["split"] == "test")
    paths = [{r["path"] for r in rows if r["split"] == s and r["path"]} for s in ("train", "test")]
    assert paths[0] and paths[1] and not paths[0] & paths[1]

    page = (sounds / "ATTRIBUTION.md").read_text()
    assert "package/train/bell/broken.wav: expected a readable sound file" in page
    assert re.search(r"package/train/bell/(copy|\.\./\.\./evil)\.wav: a copy of another", page)
    assert "CC0" in (sounds / "licences/a-sounds.txt").read_text()
    assert sorted(p.name for p in rooms.rglob("*.png")) == [
        "000_rooms_train.png",
        "001_rooms_test.png",
    ]
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.slow
def test_the_same_packages_give_the_same_bank(tmp_path, world):
    collect(tmp_path / "a", None, **world)
    collect(tmp_path / "b", None, **world)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.slow
def test_held_out_sounds_are_kept_away(tmp_path, world):
    held_out = tmp_path / "held out"
    held_out.mkdir()
    with pytest.raises(DataError, match="held out: expected WAV, FLAC or OGG files"):
        collect(tmp_path / "sounds", None, **world, held_out=held_out)
    bell = CLASS_FOLDERS.index("bell")
    (held_out / "bell.ogg").write_bytes(wav(2 * bell, suffix="OGG"))
    collect(tmp_path / "sounds", None, **world, held_out=held_out)
    rows = list(csv.DictReader((tmp_path / "sounds/ATTRIBUTION.csv").read_text().splitlines()))
    assert not any("train/bell" in row["path"] for row in rows)
    assert any("test/bell" in row["path"] for row in rows)


def test_voices_of_the_other_sex_are_left_out(tmp_path, world, monkeypatch):
    monkeypatch.setitem(PITCH_HZ, "male_speech", (1.0, 2.0))
    with pytest.raises(DataError, match="test/male_speech: expected at least one usable clip"):
        collect(tmp_path / "sounds", None, **world)


@pytest.mark.slow
def test_no_source_drowns_the_others(tmp_path, world, monkeypatch):
    monkeypatch.setattr(bank, "MAX_SOURCE_CLIPS", {"train": 2, "test": 1})
    archive = next((world["cache"] / "npm/@a__sounds").iterdir())
    members = dict(read_members(archive, ["*"]))
    members |= {f"package/train/bell/{n}.wav": wav(100 + n) for n in range(9)}
    members |= {f"package/other/{name}.wav": wav(200 + n) for n, name in enumerate("ab")}
    archive.unlink()
    archive.parent.rmdir()
    tgz(archive, members)
    with world["sources"].open("a") as table:
        table.write(
            '[[clips]]\nclass = "bell"\nsplit = "train"\npackage = "@a/sounds"\n'
            'source = "chime"\neach = ["a", "b"]\npaths = ["package/other/{}.wav"]\n'
        )
    collect(tmp_path / "sounds", None, **world)
    rows = csv.DictReader((tmp_path / "sounds/ATTRIBUTION.csv").read_text().splitlines())
    bells = [row["source"] for row in rows if row["file"].startswith("train/bell/")]
    assert sorted(bells) == ["@a/sounds chime a", "@a/sounds chime b"] + 2 * ["@a/sounds trainer"]


def test_a_stopped_run_leaves_no_bank(tmp_path, world, monkeypatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bank, "_procedural", stop)
    with pytest.raises(KeyboardInterrupt):
        collect(tmp_path / "sounds", None, **world)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "sources.toml"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, world):
    with pytest.raises(OutputError, match="expected an absent or empty folder"):
        collect(tmp_path, None, **world)


@pytest.mark.slow
def test_missing_files_and_classes_are_named(tmp_path, world):
    table = world["sources"].read_text()
    world["sources"].write_text(table.replace("package/test/bell/*", "package/elsewhere/*"))
    with pytest.raises(DataError, match=r"@a/sounds 1\.0: expected files package/elsewhere/\*"):
        collect(tmp_path / "sounds", None, **world)
    with pytest.raises(DataError, match="test/female_speech: expected at least one usable clip"):
        world["sources"].write_text(table.replace('"recordings"', '"hits"').split("[[clips]]")[0])
        collect(tmp_path / "sounds", None, **world)
    assert not (tmp_path / "sounds").exists()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('class = "bell"', 'class = "gong"', "clips.*class: expected a class"),
        ('split = "test"', 'split = "dev"', "split: expected Input should be 'train' or 'test'"),
        ('"@a/sounds" =', '"@b/sounds" =', "package @a/sounds in the package table"),
        ('use = "hits"', "usage = 1", "usage: expected Extra inputs"),
        ('source = "tester"', 'source = "trainer"', "source @a/sounds trainer of .* on one side"),
        ("[package]", "[package", "expected TOML"),
    ],
)
def test_a_wrong_table_is_told(world, old, new, complaint):
    world["sources"].write_text(world["sources"].read_text().replace(old, new))
    with pytest.raises(RecipeError, match=complaint):
        read_sources(world["sources"])


def test_the_shipped_table_has_every_class_on_both_sides():
    sources = read_sources(SOURCES)
    sides = {(entry.class_folder, entry.split) for entry in sources.clips}
    assert sides == {(name, split) for name in BANK_FOLDERS for split in ("train", "test")}
    hits = {entry.class_folder for entry in sources.clips if entry.single_hits}
    assert hits == set(clips.RHYTHMS)
    assert {entry.split for entry in sources.panoramas} == {"train", "test"}
    assert "viser" not in {e.package for e in sources.without(["viser"]).panoramas}
