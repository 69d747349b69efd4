"""What a recording's channels are is recognised by what the file says, or by its sound."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from saiseld.checks.channels import Recognition, recognise
from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND
from saiseld.conventions.sphere import real_harmonics, unit_vector
from saiseld.data.ambisonics import AmbisonicConverter, wxyz
from saiseld.data.recordings import open_recording, recording_of_array
from saiseld.pipeline.open import open_array, open_checked
from saiseld.runtime.errors import AudioError

RATE, SAMPLES = 24_000, 48_000
OUTWARD = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
ONE = ((45.0, 30.0),)
TWO = ((60.0, 0.0), (-100.0, 20.0))
CASES = Path(__file__).parent / "recordings"


@cache
def field(sources: tuple[tuple[float, float], ...], direct: float = 0.5) -> np.ndarray:
    """Return (sources + 40, SAMPLES) noises and their directions: sources, and waves all round."""
    rng = np.random.default_rng(len(sources))
    around = rng.standard_normal((40, 3))
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    directions = np.concatenate([np.atleast_2d(unit_vector(*np.array(sources).T)), around])
    noises = rng.standard_normal((len(directions), SAMPLES))
    # Real sources come and go.
    noises *= np.repeat(rng.exponential(1, (len(directions), SAMPLES // 2400)), 2400, axis=1) ** 0.5
    noises[: len(sources)] *= np.sqrt(40 * direct / (1 - direct) / len(sources))
    return noises, directions


def harmonics(sources=TWO, direct: float = 0.5) -> np.ndarray:
    """Return (SAMPLES, 4) W, Y, Z, X in SN3D."""
    noises, directions = field(sources, direct)
    x, y, z = directions.T
    return 0.01 * noises.T @ np.stack([np.ones(len(x)), y, z, x], axis=1)


def in_format(name: str, foa: np.ndarray) -> np.ndarray:
    w, y, z, x = foa.T
    return {
        "ambix": foa,
        "n3d": foa * np.sqrt([1, 3, 3, 3]),
        "fuma": np.stack([w / np.sqrt(2), x, y, z], axis=1),
        "a-format": (w[:, None] + np.stack([x, y, z], axis=1) @ OUTWARD.T) / 2,
    }[name]


def cardioids(sources=TWO, direct: float = 0.5) -> np.ndarray:
    """Return (SAMPLES, 4) of A-format, capsules 1.5 cm from their middle."""
    noises, directions = field(sources, direct)
    frequency = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    advance = directions @ (0.015 * OUTWARD).T / SPEED_OF_SOUND
    gains = (1 + directions @ OUTWARD.T) / 2
    spectra = np.fft.rfft(noises)
    parts = [
        (spectra * g[:, None] * np.exp(2j * np.pi * frequency * a[:, None])).sum(0)
        for g, a in zip(gains.T, advance.T, strict=True)
    ]
    return 0.01 * np.fft.irfft(parts, SAMPLES).T


def capsules(sources=TWO, direct: float = 0.5) -> np.ndarray:
    """Return (SAMPLES, 4) of open capsules as far apart as the tetrahedron's seem to be."""
    noises, directions = field(sources, direct)
    frequency = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    advance = directions @ (1.5 * eigenmike_xyz()[list(TETRAHEDRON)]).T / SPEED_OF_SOUND
    spectra = np.fft.rfft(noises)
    parts = [(spectra * np.exp(2j * np.pi * frequency * a[:, None])).sum(0) for a in advance.T]
    return 0.01 * np.fft.irfft(parts, SAMPLES).T


@pytest.mark.parametrize("name", ["ambix", "n3d", "fuma", "a-format"])
@pytest.mark.parametrize("sources", [ONE, TWO])
@pytest.mark.parametrize("direct", [0.4, 0.7])
def test_formats_are_told_by_their_sound(name: str, sources, direct: float) -> None:
    if name == "a-format":
        audio = cardioids(sources, direct)
    else:
        audio = in_format(name, harmonics(sources, direct))
    found = recognise(recording_of_array(audio, RATE))
    assert found.format == name
    # Where direct sound is strong, another channel than W may be as loud as all others.
    is_doubtful = name == "a-format" or sources == ONE or (name != "ambix" and direct > 0.5)
    assert found.is_sure or is_doubtful


@pytest.mark.parametrize("name", ["ambix", "n3d", "fuma"])
@pytest.mark.parametrize("source", [(45, 30), (0, 0), (90, 10), (-120, -40), (180, 0)])
def test_one_source_in_the_open_is_enough(name: str, source: tuple[float, float]) -> None:
    w = np.random.default_rng(0).standard_normal((SAMPLES, 1)) * 0.1
    x, y, z = unit_vector(*source)
    audio = in_format(name, w * [1, y, z, x])
    assert recognise(recording_of_array(audio, RATE)).format == name


@pytest.mark.parametrize(("name", "silent"), [("ambix", 2), ("n3d", 2), ("fuma", 3)])
def test_ambisonics_without_height(name: str, silent: int) -> None:
    audio = in_format(name, harmonics())
    audio[:, silent] = 0
    found = recognise(recording_of_array(audio, RATE))
    assert (found.format, found.is_sure) == (name, True)


@pytest.mark.parametrize("order", [(1, 2, 3, 0), (1, 0, 2, 3), (3, 1, 2, 0)])
def test_a_w_that_is_not_the_first_channel_is_doubted(order: tuple[int, ...]) -> None:
    found = recognise(recording_of_array(harmonics()[:, order], RATE))
    assert not found.is_sure
    assert f"channel {order.index(0) + 1} is W" in found.reason


def test_a_dead_x_is_no_height() -> None:
    found = recognise(recording_of_array(harmonics() * [1, 1, 1, 0], RATE))
    assert found == Recognition(None, True, "channel 4 is silent")


@pytest.mark.parametrize("order", [(0, 0, 1, 1), (0, 1, 2, 1), (0, 1, 0, 3)])
def test_a_channel_twice_is_no_ambisonics(order: tuple[int, ...]) -> None:
    found = recognise(recording_of_array(harmonics()[:, order], RATE))
    assert found.format is None and not found.is_sure
    assert "hold the same sound" in found.reason


@pytest.mark.parametrize("channels", [8, 9, 11, 16, 25, 36, 64])
def test_higher_orders_begin_with_the_first(tmp_path, channels: int) -> None:
    rest = np.random.default_rng(5).standard_normal((SAMPLES, channels - 4)) * 0.01
    audio = np.concatenate([harmonics(), rest], axis=1)
    soundfile.write(tmp_path / "a.wav", audio, RATE, subtype="FLOAT")
    recording = open_checked(tmp_path / "a.wav")
    assert recording.ambisonics == "ambix" and recording.channels == channels
    (block, *_) = recording.blocks(10)
    first = open_array(harmonics(), RATE, "foa")
    np.testing.assert_allclose(block, next(first.blocks(10)), atol=1e-4)


@pytest.mark.parametrize(("name", "gain"), [("ambix", 1.0), ("n3d", np.sqrt(5))])
def test_second_order_says_more_of_the_gains(name: str, gain: float) -> None:
    # So little height that three channels alone have the power of another convention.
    noises, directions = field(TWO)
    first = harmonics() * [1, 0.87, 0.87, 0.87]
    second = gain * 0.01 * noises.T @ real_harmonics(directions, 2)[:, 4:]
    audio = np.concatenate([in_format(name, first), second], axis=1)
    assert recognise(recording_of_array(audio, RATE, any_channels=True)).format == name


@pytest.mark.parametrize("kind", ["auto", "foa"])
@pytest.mark.parametrize(("level", "order"), [(1.0, 2), (0.2, 1)])
def test_components_of_second_order_are_used_where_they_are_as_strong(kind, level, order) -> None:
    noises, directions = field(TWO)
    second = level * 0.01 * noises.T @ real_harmonics(directions, 2)[:, 4:]
    audio = np.concatenate([harmonics(), second], axis=1)
    converter = open_array(audio, RATE, kind).converter
    assert isinstance(converter, AmbisonicConverter) and converter.order == order


def test_other_tracks_as_strong_are_no_second_order() -> None:
    first = harmonics()
    tracks = np.random.default_rng(3).standard_normal((SAMPLES, 5)) * first[:, 0].std() / 5**0.5
    recording = open_array(np.concatenate([first, tracks], axis=1), RATE)
    assert isinstance(recording.converter, AmbisonicConverter)
    assert recording.converter.order == 1


@pytest.mark.parametrize("channels", [5, 6, 7, 16])
def test_other_numbers_of_capsules_are_refused(channels: int) -> None:
    audio = np.tile(capsules(), 4)[:, :channels]
    with pytest.raises(AudioError) as caught:
        open_array(audio, RATE)
    assert (caught.value.place, caught.value.found) == ("channels", str(channels))


def spoiled(how: str) -> np.ndarray:
    audio = capsules()
    noise = 0.003 * np.random.default_rng(9).standard_normal(SAMPLES)
    if how == "inverted":
        audio[:, 1] *= -1
    elif how == "dead":
        audio[:, 2] = 0
    elif how == "noise alone":
        audio[:, 3] = noise
    elif how == "gain":
        audio[:, 0] *= 0.4
    elif how == "swapped":
        audio = audio[:, [1, 0, 2, 3]]
    return audio


@pytest.mark.parametrize("how", ["", "inverted", "dead", "noise alone", "gain", "swapped"])
@pytest.mark.parametrize("sources", [ONE, TWO])
def test_capsules_stay_capsules(how: str, sources) -> None:
    found = recognise(recording_of_array(spoiled(how), RATE))
    assert found.format is None and found.is_sure


@pytest.mark.parametrize("seconds", [0.5, 2.0])
@pytest.mark.parametrize("levels", [(1, 1, 1, 1), (1, 0.5, 0.3, 0.7), (1, 0.58, 0.58, 0.58)])
def test_independent_tracks_are_neither(seconds: float, levels) -> None:
    rng = np.random.default_rng(4)
    tracks = 0.1 * rng.standard_normal((int(seconds * RATE), 4)) * levels
    found = recognise(recording_of_array(tracks, RATE))
    assert found.format is None and not found.is_sure


def test_one_sound_four_times_is_no_ambisonics() -> None:
    audio = np.repeat(harmonics()[:, :1], 4, axis=1)
    assert recognise(recording_of_array(audio, RATE)).format is None


def b_format(path: Path, audio: np.ndarray) -> Path:
    """Write a WAV whose GUID says B-format."""
    soundfile.write(path, audio, RATE, format="WAVEX", subtype="PCM_16")
    content = path.read_bytes()
    plain = bytes.fromhex("0000 0000 1000 8000 00aa 0038 9b71")[2:]
    assert content.count(plain)
    path.write_bytes(
        content.replace(plain, bytes.fromhex("0000 2107 d311 8644 c8c1 ca00 0000")[2:])
    )
    return path


def caf_of_layout(path: Path, audio: np.ndarray, layout: int) -> Path:
    """Write a CAF whose channel layout says which ambisonics it is."""
    soundfile.write(path, audio, RATE, format="CAF", subtype="PCM_16")
    content = path.read_bytes()
    at = content.index(b"data")
    chunk = b"chan" + (12).to_bytes(8, "big") + (layout << 16 | 4).to_bytes(4, "big") + bytes(8)
    path.write_bytes(content[:at] + chunk + content[at:])
    return path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("guid.wav", "fuma"),
        ("plain.amb", "fuma"),
        ("upper.AMB", "fuma"),
        ("plain.ambix", "ambix"),
        ("107.caf", "fuma"),
        ("190.caf", "ambix"),
        ("191.caf", "n3d"),
    ],
)
def test_files_say_what_they_hold(tmp_path, name: str, says: str) -> None:
    audio = capsules()  # whatever their sound
    path = tmp_path / name
    if path.suffix == ".caf":
        caf_of_layout(path, audio, int(path.stem))
    elif name == "guid.wav":
        b_format(path, audio)
    else:
        soundfile.write(path, audio, RATE, format="WAV")
    assert open_recording(path).says == says
    assert open_checked(path).ambisonics == says


@pytest.mark.parametrize("name", ["ambix", "n3d", "fuma", "a-format"])
def test_every_format_becomes_the_same_harmonics(name: str) -> None:
    foa = harmonics()
    expected = foa[:, [0, 3, 1, 2]]
    np.testing.assert_allclose(wxyz(in_format(name, foa), name), expected, atol=1e-12)


@pytest.mark.parametrize("channels", [3, 5, 7])
def test_horizontal_fuma_has_no_z(tmp_path, channels: int) -> None:
    audio = in_format("fuma", harmonics() * [1, 1, 0, 1])
    expected = next(open_array(audio, RATE, "fuma").blocks())
    rest = 0.01 * np.random.default_rng(5).standard_normal((SAMPLES, 4))
    audio = np.concatenate([audio[:, :3], rest], axis=1)[:, :channels]
    np.testing.assert_array_equal(next(open_array(audio, RATE, "fuma").blocks()), expected)
    soundfile.write(tmp_path / "a.amb", audio, RATE, format="WAV", subtype="FLOAT")
    recording = open_checked(tmp_path / "a.amb")
    assert recording.layout == "fuma"
    np.testing.assert_allclose(next(recording.blocks()), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "layout"),
    [("mic", "capsules"), ("foa", "ambix"), ("n3d", "n3d"), ("fuma", "fuma")],
)
def test_what_is_asked_for_goes_before_what_is_found(kind: str, layout: str, caplog) -> None:
    recording = open_array(harmonics(), RATE, kind)
    assert recording.layout == layout
    assert ("looks like" in caplog.text) == (kind == "mic")


def test_a_guess_that_is_not_sure_says_what_to_type(caplog) -> None:
    open_array(cardioids(), RATE)
    assert "--format a-format" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        open_array(harmonics(), RATE)
    (record,) = caplog.records
    assert record.levelname == "INFO" and "ambiX" in record.getMessage()
