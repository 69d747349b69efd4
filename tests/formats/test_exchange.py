"""Every format is read back by another library, or by a parser of its own."""

import csv
import json
import sys
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from saiseld.conventions.sphere import pixel_of_angles
from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.dcase_csv import read_dcase_csv
from saiseld.formats.exchange import (
    EXCHANGE_FORMATS,
    RecordedEvents,
    exchange_format_of,
    exchange_formats_named,
    exchange_path,
    write_exchange,
)
from saiseld.formats.sound_events import SoundEvent
from saiseld.runtime.errors import OutputError

EVENTS = [
    SoundEvent(1, 11, "Bell", 0.3, 1.0, 12.34, -5.0, 150.4, 0.8),
    SoundEvent(2, 11, "Bell", 0.7, 1.2, -90.0, 10.0, None, 0.5),
    SoundEvent(3, 7, "Door, open or close", 2.0, 2.5, -179.0, 0.0, 300.0, 0.25),
]


def mask(frame: int, event: SoundEvent) -> EnergyMask:
    x, y = pixel_of_angles(event.azimuth, event.elevation)
    grid = np.stack(np.meshgrid((x + np.arange(-6, 7, 3)) % 360, y + np.arange(-6, 7, 3)), axis=-1)
    blob = np.concatenate([grid.reshape(-1, 2), np.ones((25, 1))], axis=1)
    return EnergyMask(frame, event.number, event.class_id, (blob,), event.distance_cm, event.score)


MASKS = [mask(frame, e) for e in EVENTS for frame in range(int(e.start_s * 10), int(e.end_s * 10))]
RECORDED = RecordedEvents(Path("a take.wav"), 3.0, 48000, EVENTS, MASKS)
SILENT = RecordedEvents(Path("silence.wav"), 3.0, 48000, [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    for recorded in (RECORDED, SILENT):
        for name in EXCHANGE_FORMATS:
            write_exchange(exchange_path(folder, recorded.name, name), recorded, name)
    return folder


def crowsetta_of(kind: str, path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandera, at import
        import crowsetta

        return crowsetta.Transcriber(format=kind).from_file(path)


def test_audacity_labels_are_read_by_crowsetta(folder):
    read = crowsetta_of("aud-seq", folder / "a take.audacity.txt")
    assert read.start_times.tolist() == pytest.approx([e.start_s for e in EVENTS])
    assert read.end_times.tolist() == pytest.approx([e.end_s for e in EVENTS])
    assert read.labels.tolist() == [
        "Bell, az 12.3 el -5.0 dist 1.50 m score 0.800",
        "Bell, az -90.0 el 10.0 score 0.500",
        "Door, open or close, az -179.0 el 0.0 dist 3.00 m score 0.250",
    ]
    assert not (folder / "silence.audacity.txt").read_bytes()


def test_a_raven_table_is_read_by_crowsetta(folder):
    path = folder / "a take.selections.txt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import crowsetta

        boxes = crowsetta.formats.bbox.Raven.from_file(path, annot_col="Class").to_bbox()
    assert [(b.onset, b.offset, b.label) for b in boxes] == [
        (e.start_s, e.end_s, e.class_name) for e in EVENTS
    ]
    assert {(b.low_freq, b.high_freq) for b in boxes} == {(0.0, 24000.0)}
    rows = list(csv.DictReader(path.read_text().splitlines(), delimiter="\t"))
    assert [float(row["Azimuth (deg)"]) for row in rows] == [12.3, -90.0, -179.0]
    assert [row["Distance (m)"] for row in rows] == ["1.50", "", "3.00"]
    assert [float(row["Score"]) for row in rows] == [0.8, 0.5, 0.25]


def test_rttm_is_read_by_pyannote(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyannote.database.util import load_rttm

        read = load_rttm(folder / "a take.rttm")["a_take"]
    found = [(s.start, s.end, label) for s, _, label in read.itertracks(yield_label=True)]
    wanted = [(0.3, 1.0, "bell"), (0.7, 1.2, "bell"), (2.0, 2.5, "door")]
    for own, other in zip(found, wanted, strict=True):
        assert own[:2] == pytest.approx(other[:2]) and own[2] == other[2]


def test_a_textgrid_is_read_by_tgt(folder):
    import tgt

    grid = tgt.io.read_textgrid(str(folder / "a take.TextGrid"))
    assert grid.get_tier_names() == ["Bell", "Bell (2)", "Door, open or close"]
    (bell,) = grid.get_tier_by_name("Bell").intervals
    assert (bell.start_time, bell.end_time) == (0.3, 1.0)
    assert bell.text == "az 12.3 el -5.0 dist 1.50 m score 0.800"
    assert grid.end_time == 3.0
    silence = tgt.io.read_textgrid(str(folder / "silence.TextGrid"))
    assert silence.end_time == 3.0 and not silence.tiers[0].intervals


def test_jams_is_read_and_validated_by_jams(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jams

        read = jams.load(str(folder / "a take.jams"), validate=True, strict=True)
        assert jams.load(str(folder / "silence.jams")).validate()
    (segments,) = read.search(namespace="segment_open")
    assert [o.value for o in segments.data] == [e.class_name for e in EVENTS]
    assert [o.confidence for o in segments.data] == [0.8, 0.5, 0.25]
    (places,) = read.search(namespace="blob")
    assert [(o.value["azimuth"], o.value["distance_cm"]) for o in places.data] == [
        (12.34, 150.4),
        (-90.0, None),
        (-179.0, 300.0),
    ]
    assert read.file_metadata.duration == 3.0


def test_an_elan_document_is_read_as_xml(folder):
    document = ElementTree.parse(folder / "a take.eaf").getroot()
    times = {
        slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in document.iter("TIME_SLOT")
    }
    found = [
        (
            tier.get("TIER_ID"),
            times[note.get("TIME_SLOT_REF1")],
            times[note.get("TIME_SLOT_REF2")],
            note.findtext("ANNOTATION_VALUE"),
        )
        for tier in document.iter("TIER")
        for note in tier.iter("ALIGNABLE_ANNOTATION")
    ]
    assert found == [
        ("Bell", 300, 1000, "az 12.3 el -5.0 dist 1.50 m score 0.800"),
        ("Bell (2)", 700, 1200, "az -90.0 el 10.0 score 0.500"),
        ("Door, open or close", 2000, 2500, "az -179.0 el 0.0 dist 3.00 m score 0.250"),
    ]
    (media,) = document.iter("MEDIA_DESCRIPTOR")
    assert media.get("RELATIVE_MEDIA_URL") == "./a take.wav"
    assert not list(ElementTree.parse(folder / "silence.eaf").getroot().iter("ANNOTATION"))


def test_a_dcase_csv_has_a_row_a_mask(folder):
    rows = read_dcase_csv(folder / "a take.dcase.csv", distance_unit="m").rows
    assert rows.frame.tolist() == [m.frame for m in MASKS]
    assert rows.source.tolist() == [m.instance_id for m in MASKS]
    wrapped = np.abs((rows.azimuth - [m.azimuth for m in MASKS] + 180) % 360 - 180)
    assert (wrapped <= 0.05 + 1e-9).all()


def test_coco_is_read_by_pycocotools(folder):
    from pycocotools import mask as masks
    from pycocotools.coco import COCO

    read = COCO(str(folder / "a take.coco.json"))
    assert len(read.imgs) == 30
    assert [c["name"] for c in read.loadCats(sorted(read.getCatIds()))] == list(CLASS_NAMES)
    (bell,) = read.loadAnns(read.getAnnIds(imgIds=[4]))
    x, y, width, height = bell["bbox"]
    centre = pixel_of_angles(12.34, -5.0)
    assert (x + width / 2, y + height / 2) == pytest.approx(centre)
    assert (width, height, bell["area"]) == (13, 13, 169)
    assert masks.area(read.annToRLE(bell)) == pytest.approx(169, abs=15)  # in whole pixels
    assert (bell["score"], bell["track_id"], bell["distance_cm"]) == (0.8, 1, 150.4)
    assert bell["azimuth"] == pytest.approx(12.34)


def test_a_mask_over_the_seam_becomes_two_boxes(folder):
    document = json.loads((folder / "a take.coco.json").read_text())
    left, right = (a for a in document["annotations"] if a["image_id"] == 21)
    assert left["track_id"] == right["track_id"] == 3
    assert left["bbox"][0] == 0 and right["bbox"][0] + right["bbox"][2] == 360
    assert left["bbox"][2] + right["bbox"][2] == 13


def test_formats_are_known_by_name_and_by_ending():
    assert exchange_formats_named("raven, ELAN,raven") == ("raven", "elan")
    with pytest.raises(OutputError) as refused:
        exchange_formats_named("raven,word")
    assert refused.value.source == "--write" and refused.value.found == "'word'"
    for known in EXCHANGE_FORMATS.values():
        assert exchange_format_of(Path(f"x{known.ending}")) == known.name
    assert exchange_format_of(Path("x.txt")) == "audacity"
    assert exchange_format_of(Path("x.textgrid")) == "textgrid"
    assert exchange_format_of(Path("out")) is None


@pytest.mark.parametrize(
    ("name", "module"), [("textgrid", "praatio.textgrid"), ("elan", "pympi.Elan")]
)
def test_a_missing_package_is_named(name, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(OutputError) as refused:
        write_exchange(tmp_path / "x", RECORDED, name)
    assert refused.value.advice == "pip install 'saiseld[exchange]'"
    assert not (tmp_path / "x").exists()
    with pytest.raises(OutputError):
        exchange_formats_named(f"audacity,{name}")
