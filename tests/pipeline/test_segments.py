"""Events are cut out once, by the recording that was imaged; a person's corrections are labels."""

import csv

import numpy as np
import pytest
import soundfile
from playwright.sync_api import sync_playwright
from tests.chromium import chromium, needs_chromium
from tests.errors import raises
from tests.untrained import write_noise

from saiseld.formats.annotation import EnergyMask, write_annotations
from saiseld.formats.dcase_csv import read_dcase_csv
from saiseld.pipeline.results import Provenance, Results, RunRecord, write_run_record
from saiseld.pipeline.segments import SEGMENTS_SUFFIX, write_segments
from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import DataError

BELL, KNOCK = 11, 12


@pytest.fixture
def imaged(tmp_path):
    """Results of a recording in which a bell and a knock overlap."""
    recording = write_noise(tmp_path / "take.wav", 12)
    results = Results(tmp_path / "out", "take")
    results.folder.mkdir()
    blobs = {c: (np.array([[x, 90.0, 1.0]]),) for c, x in ((BELL, 100.0), (KNOCK, 260.0))}
    frames = [(BELL, k) for k in range(2, 8)] + [(KNOCK, k) for k in range(5, 10)]
    write_annotations(results.masks, [EnergyMask(k, c, c, blobs[c], 150.0, 0.9) for c, k in frames])
    made_from = Provenance(content_digest(recording), "", {}, "audio", "capsules")
    write_run_record(results, RunRecord(made_from, 12, 0, 0.2, source="../take.wav"))
    return results


def test_each_event_is_a_wav_once(imaged):
    told = []
    page = write_segments(imaged.folder, on_done=lambda name, made: told.append(made.is_new))
    with (page.parent / f"take{SEGMENTS_SUFFIX}").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["Bell", "Knock"]
    assert [row["file"] for row in rows] == [
        "take_00h00m00.2s_Bell_0001.wav",
        "take_00h00m00.5s_Knock_0002.wav",
    ]
    for row in rows:
        sound, rate = soundfile.read(page.parent / row["file"])
        length = float(row["to_s"]) - float(row["from_s"]) + 0.2
        assert (sound.ndim, rate) == (1, 24_000) and len(sound) == round(length * rate)
        assert np.abs(sound).max() == pytest.approx(0.7, abs=0.05)
    before = {path: path.stat().st_mtime_ns for path in page.parent.glob("*.wav")}
    write_segments(imaged.folder, on_done=lambda name, made: told.append(made.is_new))
    assert told == [True, False]
    assert before == {path: path.stat().st_mtime_ns for path in page.parent.glob("*.wav")}


def test_only_the_recording_that_was_imaged_is_cut(imaged, tmp_path):
    (tmp_path / "take.wav").rename(tmp_path / "moved.wav")
    with raises(DataError, imaged.provenance, place="source", advice="segments OUT RECORDING"):
        write_segments(imaged.folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = write_noise(elsewhere / "take.wav", 13)
    with raises(DataError, other, found="another content"):
        write_segments(imaged.folder, recordings=[other])
    other.write_bytes((tmp_path / "moved.wav").read_bytes())
    assert write_segments(imaged.folder, recordings=[other]).is_file()
    with raises(DataError, tmp_path, expected="results of"):
        write_segments(tmp_path)


@needs_chromium
def test_corrections_are_saved_as_labels(imaged, tmp_path):
    page = write_segments(imaged.folder)
    with sync_playwright() as started:
        browser = chromium(started)
        tab = browser.new_page()
        tab.set_default_timeout(60_000)
        wrong = []
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.goto(page.as_uri())
        tab.get_by_role("button", name="Right").nth(1).click()
        tab.get_by_label("Class of take, 0:00").first.select_option("Telephone")
        tab.reload()  # decisions stay
        assert tab.locator("#count").inner_text() == "2 of 2 looked at"
        with tab.expect_download() as download:
            tab.get_by_role("button", name="Save labels").click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
        browser.close()
    assert not wrong
    rows = read_dcase_csv(tmp_path / "take.csv").rows
    assert sorted(zip(rows.frame.tolist(), rows.class_id.tolist(), strict=True)) == sorted(
        [(k, 3) for k in range(2, 8)] + [(k, KNOCK) for k in range(5, 10)]
    )
    assert set(rows.distance_m.tolist()) == {1.5}
