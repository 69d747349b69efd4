from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit
from tests.errors import raises

from saiseld.conventions.label_law import LABEL_EXTENT_DEG, LABEL_SIGMA_DEG
from saiseld.conventions.sphere import great_circle
from saiseld.decision.class_thresholds import ClassThresholds
from saiseld.decision.emission import (
    SPOT_RADIUS,
    SPOT_SIGMA,
    emission_points,
)
from saiseld.decision.fusion import (
    EVIDENCE,
    Fusion,
    LogisticCalibration,
    balanced,
    fuse,
    match_candidates,
)
from saiseld.formats.candidates import MAP_SIZE, Candidates
from saiseld.runtime.errors import CandidateError, CheckpointError, InputError


def table(*rows, recording="fold4_room1_mix001", frames=10):
    """Rows of (frame, class, score, azimuth, elevation)."""
    frame, class_id, score, azimuth, elevation = np.array(rows, float).reshape(-1, 5).T
    x, y = np.mod(180 - azimuth, 360), 90 - elevation
    count = len(frame)
    zeros = np.zeros(count, np.float32)
    return Candidates(
        recording=recording,
        frames=frames,
        frame=frame.astype(np.int32),
        class_id=class_id.astype(np.int8),
        score=score.astype(np.float32),
        box=np.stack([x - 20, np.maximum(y - 20, 0), x + 20, y + 20], 1).astype(np.float32),
        azimuth=azimuth.astype(np.float32),
        elevation=elevation.astype(np.float32),
        distance_cm=zeros + 100,
        has_map=np.ones(count, bool),
        energy_map=np.ones((count, MAP_SIZE, MAP_SIZE), np.float16),
        closure=zeros,
        diffuseness=zeros,
        matchability=np.full(count, np.nan, np.float32),
        provenance={"imager": "a test"},
    )


def model(toward_detector=0.5, **weights):
    """A fusion that adds up what it is told to."""

    def of(available):
        names = EVIDENCE[available]
        products = [0.0] * (len(names) * (len(names) + 1) // 2)
        weight = [*(weights.get(n, 0.0) for n in names), *products]
        return LogisticCalibration([0.0] * len(names), [1.0] * len(names), weight, 0.0)

    return Fusion(of("both"), of("audio"), of("detector"), toward_detector, ["room1"], ["a"])


def test_what_is_near_and_of_one_class_is_one_candidate():
    detector = table((0, 1, 0.5, 10, 0), (0, 1, 0.4, 100, 0), (0, 2, 0.3, 10, 0))
    audio = table((0, 1, 0.6, 20, 0), (2, 3, 0.2, 0, 0))
    found = match_candidates(detector, audio)
    assert list(zip(found.audio_row.tolist(), found.detector_row.tolist(), strict=True)) == [
        (0, 0),
        (-1, 1),
        (-1, 2),
        (1, -1),
    ]
    names = list(EVIDENCE["both"])
    first = dict(zip(names, found.evidence[0], strict=True))
    assert first["audio"] == pytest.approx(logit(0.6), rel=1e-5)
    assert first["detector"] == pytest.approx(logit(0.5), abs=1e-5)
    assert first["detector_margin"] == pytest.approx(logit(0.5) - logit(0.3), abs=1e-5)
    assert first["apart"] == pytest.approx(0.5, abs=1e-4)
    assert first["detector_missing"] == first["audio_missing"] == 0
    assert dict(zip(names, found.evidence[1], strict=True))["audio_missing"] == 1


def test_pairs_are_found_over_the_seam():
    detector, audio = table((0, 1, 0.5, 175, 0)), table((0, 1, 0.5, -178, 0))
    found = match_candidates(detector, audio)
    assert (found.audio_row.tolist(), found.detector_row.tolist()) == ([0], [0])
    fused = fuse(detector, audio, model(1.0))
    assert great_circle(fused.azimuth[0], fused.elevation[0], 175, 0) < 1e-3
    assert fused.box[0].tolist() == pytest.approx([-14, 71, 24, 109], abs=1e-3)
    halfway = fuse(detector, audio, model(0.5))
    assert great_circle(halfway.azimuth[0], halfway.elevation[0], 178.5, 0) < 1e-3


def test_what_eye_and_ear_agree_on_is_drawn_as_labels_are():
    detector = table((0, 1, 0.5, 10, 0), (0, 2, 0.5, 90, 30))
    audio = table((0, 1, 0.6, 14, 0), (0, 2, 0.5, 101, 30), (0, 3, 0.4, -80, 0))
    fused = fuse(detector, audio, model(audio=1.0))
    height = fused.box[:, 3] - fused.box[:, 1]
    np.testing.assert_allclose(height / 2, [LABEL_EXTENT_DEG, SPOT_RADIUS, SPOT_RADIUS], atol=1e-4)
    sigmas = LABEL_SIGMA_DEG, SPOT_SIGMA, SPOT_SIGMA
    columns = emission_points(fused, "spot"), height / 2, sigmas, fused.azimuth, fused.elevation
    for points, reach, sigma, azimuth, elevation in zip(*columns, strict=True):
        assert points[0, 2] == 1
        assert points[-1, 2] == pytest.approx(np.exp(-((reach / sigma) ** 2) / 2), abs=0.001)
        assert 90 - points[:, 1].min() == pytest.approx(elevation + reach, abs=0.051)
        assert 180 - points[0, 0] == pytest.approx(azimuth, abs=0.051)


def test_the_eye_looks_where_its_map_balances():
    energy = np.zeros((1, MAP_SIZE, MAP_SIZE), np.float16)
    energy[0, 14:, 14:] = 1
    energy[0, 27, 27] = 3
    detector = replace(table((0, 1, 0.5, 0, 0)), energy_map=energy)
    looked = balanced(detector)
    assert -11 < looked.azimuth[0] < -9 and -11 < looked.elevation[0] < -9
    np.testing.assert_array_equal(fuse(detector, None, model()).azimuth, looked.azimuth)


def test_a_spot_near_the_pole_stays_on_the_canvas():
    fused = fuse(None, table((0, 1, 0.5, 10, 62), (0, 2, 0.5, 10, 89)), model())
    assert fused.box[:, 1].tolist() == pytest.approx([11, 0], abs=1e-3)
    points = np.stack(emission_points(fused, "spot"))
    assert (points[..., 1] >= 0).all() and (points[..., 1] <= 180).all()


def test_a_second_look_at_one_thing_is_no_candidate_of_its_own():
    detector = table((0, 1, 0.5, 10, 0), (0, 1, 0.4, 5, 0))
    assert len(match_candidates(detector, table((0, 1, 0.6, 8, 0))).frame) == 1


def test_the_ear_alone_ranks_as_it_did():
    audio = table((0, 1, 0.6, 20, 0), (0, 2, 0.9, 80, 0), (3, 3, 0.2, 0, 0))
    fused = fuse(None, audio, model(audio=1.0))
    assert fused.provenance["branches"] == ["audio"]
    assert "detector" not in fused.provenance
    np.testing.assert_allclose(fused.score, [0.9, 0.6, 0.2], rtol=1e-5)
    np.testing.assert_array_equal(fused.azimuth, [80, 20, 0])


def test_the_eye_alone_is_said_to_be():
    fused = fuse(table((1, 1, 0.6, 20, 0)), None, model(detector=1.0))
    assert fused.provenance["branches"] == ["detector"]
    np.testing.assert_allclose(fused.score, [0.6], rtol=1e-5)


def test_neither_and_strangers_are_refused():
    with raises(CandidateError, found="neither"):
        fuse(None, None, model())
    with raises(CandidateError, expected="one recording"):
        fuse(table(), table(frames=11), model())


def test_nothing_heard_and_nothing_seen_is_nothing():
    assert len(fuse(table(), table(), model())) == 0
    assert len(fuse(None, table(), model())) == 0


def test_one_sense_may_have_nothing_to_say():
    found = table((0, 1, 0.5, 10, 0), (2, 2, 0.4, 50, 0))
    seen = fuse(
        found,
        table(),
        model(),
    )
    heard = fuse(table(), found, model())
    for one in (seen, heard):
        np.testing.assert_array_equal(one.class_id, found.class_id)
        np.testing.assert_allclose(one.azimuth, found.azimuth, atol=1e-4)
    assert seen.has_map.all()


@pytest.mark.parametrize(
    "odds",
    [
        lambda evidence: 2 * evidence[:, 1] - 1,
        lambda evidence: evidence[:, 0] - 2 * (evidence[:, 1] - 3) * (evidence[:, 2] + 1),
    ],
    ids=["a sum", "a product"],
)
def test_a_fitted_model_finds_what_tells_right_from_wrong(odds):
    rng = np.random.default_rng(0)
    evidence = rng.normal([0, 3, -1], size=(4000, 3))
    probability = 1 / (1 + np.exp(-odds(evidence)))
    target = (rng.random(4000) < probability).astype(float)
    fitted = LogisticCalibration.fit(evidence, target, np.ones(4000))
    found = 1 / (1 + np.exp(-fitted.odds(evidence)))
    assert np.abs(found - probability).mean() < 0.03


def test_models_survive_the_file_and_others_are_refused(tmp_path):
    path = tmp_path / "fusion.json"
    fusion = model(audio=1.0, detector=0.3)
    fusion.save(path)
    assert Fusion.load(path) == fusion
    replaced = replace_model(fusion, weight=[1.0])
    replaced.save(path)
    with raises(CheckpointError, place="both", expected="65 finite weights"):
        Fusion.load(path)
    path.write_bytes(b"{}")
    with raises(CheckpointError, expected="a fusion model"):
        Fusion.load(path)
    with raises(CheckpointError, advice="train fusion"):
        Fusion.load(tmp_path / "none.json")


def replace_model(fusion, **fields):
    import msgspec

    return msgspec.structs.replace(fusion, both=msgspec.structs.replace(fusion.both, **fields))


@pytest.mark.parametrize("kind", [Fusion, ClassThresholds])
@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"a":' * 100_000, b"", b"[]", b"\xff", b"null"]
)
def test_models_nested_without_end_are_refused(tmp_path, kind, content):
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        kind.load(path)
    assert caught.value.source == str(path)


def test_rows_without_a_map_take_no_part():
    detector = table((0, 1, 0.5, 10, 0), (0, 1, 0.9, 100, 0))
    detector = replace(detector, has_map=np.array([True, False]))
    assert len(match_candidates(detector, None).frame) == 1
