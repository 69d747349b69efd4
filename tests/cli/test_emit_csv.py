"""``saiseld calibrate --class-thresholds`` and ``saiseld emit --form dcase-csv``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.reference.perturbed_labels import perturbed

from saiseld.decision.systems import system_named
from saiseld.evaluation.seld import SourceOptions, evaluate_seld
from saiseld.formats.annotation import EnergyMask, write_annotations
from saiseld.formats.candidates import write_candidates
from saiseld.formats.dcase_csv import read_dcase_csv
from saiseld.pipeline.source_csv import calibrate_classes, with_source_numbers
from saiseld.pipeline.weights import PACKAGED
from saiseld.runtime.errors import CandidateError

SYSTEM = "TASK3B_3"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Folders of candidates and labels, three recordings."""
    folder = tmp_path_factory.mktemp("corpus")
    for kind in ("candidates", "labels"):
        (folder / kind).mkdir()
    for seed in range(3):
        name = f"fold4_room{seed}_mix001"
        table, labels = perturbed(seed, name, frames=30)
        write_candidates(folder / "candidates" / f"{name}.candidates.parquet", table)
        write_annotations(folder / "labels" / f"{name}_std.json", labels)
    return folder


@pytest.fixture(scope="module")
def thresholds(corpus):
    """A file of thresholds chosen on the corpus."""
    path = corpus / "thresholds.json"
    system = system_named(SYSTEM)
    calibrate_classes(corpus / "candidates", corpus / "labels", system, "seld-2023").save(path)
    return path


def test_thresholds_are_of_the_system_that_made_the_tables(corpus, tmp_path):
    """No system named: the one in the tables; tables of two are refused."""
    made = tmp_path / "candidates"
    names = {0: "TASK3B_4", 1: "TASK3B_4", 2: "TASK3B_3"}
    for path in sorted((corpus / "candidates").glob("*.parquet")):
        seed = int(path.name[len("fold4_room")])
        table, _ = perturbed(seed, path.name.split(".")[0], frames=5)
        record = {"system": system_named(names[seed]).as_json()}
        write_candidates(made / path.name, replace(table, provenance=record))
    with pytest.raises(CandidateError) as refused:
        calibrate_classes(made, corpus / "labels", None, "seld-2023")
    assert (refused.value.place, refused.value.found) == ("system", "TASK3B_3, TASK3B_4")
    (made / "fold4_room2_mix001.candidates.parquet").unlink()
    chosen = calibrate_classes(made, corpus / "labels", None, "seld-2023")
    assert chosen.system == "TASK3B_4"


def test_thresholds_are_chosen_and_csvs_written(corpus, tmp_path, saiseld):
    candidates, labels = corpus / "candidates", corpus / "labels"
    chosen, out = tmp_path / "thresholds.json", tmp_path / "csv"
    options = ("--class-thresholds", chosen, "--system", SYSTEM)
    code, told = saiseld(
        "calibrate", candidates, "--labels", labels, "--metric", "seld-2023", *options
    )
    assert code == 0 and "F20" in told and chosen.is_file()
    code, told = saiseld("emit", candidates, "--form", "dcase-csv", *options, "-o", out)
    assert code == 0 and "3 CSVs" in told and "optimistic" in told
    # Three detections of a class at one place are in the tables; thresholds leave out weak ones.
    everything = tmp_path / "masks"
    assert saiseld("emit", candidates, "--system", SYSTEM, "-o", everything)[0] == 0
    of_csv = evaluate_seld(out, labels, "seld-2023", options=SourceOptions("polar"))
    of_all = evaluate_seld(everything, labels, "seld-2023")
    assert of_csv.macro["F20"] >= of_all.macro["F20"]
    assert of_csv.micro["ER20"] < of_all.micro["ER20"]
    for path in out.iterdir():
        rows = read_dcase_csv(path, coordinates="polar").rows
        keys = np.stack([rows.frame, rows.class_id, rows.source])
        assert len(np.unique(keys, axis=1).T) == len(rows)
        assert (np.diff(rows.frame) >= 0).all()


def test_a_fusion_model_is_given_to_tables_that_hold_none(corpus, tmp_path, saiseld):
    """Tables that were detected before their fusion was fitted."""
    made, chosen = tmp_path / "candidates", tmp_path / "thresholds.json"
    for seed, path in enumerate(sorted((corpus / "candidates").glob("*.parquet"))):
        table, _ = perturbed(seed, path.name.split(".")[0], frames=5)
        branch = np.full(len(table), "audio")
        write_candidates(made / path.name, replace(table, branches=("audio",), branch=branch))
    calibrated = ("calibrate", made, "--labels", corpus / "labels", "--system", "audio")
    calibrated += ("--class-thresholds", chosen)
    emitted = ("emit", made, "--form", "dcase-csv", "--class-thresholds", chosen)
    for command in (calibrated, (*emitted, "-o", tmp_path / "csv")):
        code, printed = saiseld(*command)
        assert code == 2 and "--weights" in printed
        assert saiseld(*command, "--weights", PACKAGED)[0] == 0
    assert len(list((tmp_path / "csv").iterdir())) == 3
    command = ("calibrate", made, "--model", "m.skops", "--weights", PACKAGED)
    assert saiseld(*command)[0] == 2  # matchability needs no fusion


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), "no thresholds"),
        (("--class-thresholds", "THRESHOLDS", "--model", "m.skops"), "m.skops"),
        (("--class-thresholds", "THRESHOLDS", "--emission", "blob"), "--emission"),
        (("--class-thresholds", "THRESHOLDS", "--threshold", 0.1, "--limit"), "--threshold"),
        (("--class-thresholds", "THRESHOLDS", "--system", "TASK3B_4"), SYSTEM),
        (("--class-thresholds", "none.json"), "No such file"),
    ],
)
def test_what_cannot_be_emitted_is_one_line(corpus, thresholds, tmp_path, saiseld, options, found):
    candidates = corpus / "candidates"
    options = [thresholds if option == "THRESHOLDS" else option for option in options]
    code, told = saiseld("emit", candidates, "--form", "dcase-csv", *options, "-o", tmp_path / "o")
    assert code == 2 and found in told


@pytest.mark.parametrize("options", [(), ("--risk", "fdr=0.2"), ("--model", "m.skops")])
def test_thresholds_need_labels_and_nothing_else(corpus, tmp_path, saiseld, options):
    labels = ("--labels", corpus / "labels") if options else ()
    code, _ = saiseld(
        "calibrate", corpus / "candidates", "--class-thresholds", tmp_path / "t", *labels, *options
    )
    assert code == 2
    assert saiseld("calibrate", corpus / "candidates")[0] == 2


def test_sources_keep_their_number(corpus):
    def mask(frame, azimuth, class_id=8):
        blob = np.array([[180.0 - azimuth, 90.0, 1.0]])
        return EnergyMask(frame, 0, class_id, (blob,), 100.0, 0.5)

    masks = [mask(k, a) for k in range(10) for a in ((40 + k, -40) if k % 2 else (-40, 40 + k))]
    masks += [mask(k, 40, class_id=2) for k in range(3)]
    numbered = with_source_numbers(masks)
    places = {}
    for found in numbered:
        places.setdefault((found.class_id, found.instance_id), []).append(found.azimuth)
    assert sorted(places) == [(2, 0), (8, 0), (8, 1)]
    assert all(np.ptp(azimuths) < 10 for azimuths in places.values())
    assert len(numbered) == len(masks)
