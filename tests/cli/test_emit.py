"""``saiseld emit`` refuses tables that it cannot trust."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
from tests.reference.perturbed_labels import perturbed

from saiseld.formats.candidates import write_candidates

NAME = "fold4_room0_mix001"


def test_table_of_another_schema_is_refused(tmp_path, saiseld) -> None:
    path = tmp_path / f"{NAME}.candidates.parquet"
    write_candidates(path, perturbed(0, NAME, frames=1)[0])
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[b"saiseld"]) | {"schema_version": 99}
    pq.write_table(table.replace_schema_metadata({"saiseld": json.dumps(header)}), path)
    code, told = saiseld("emit", tmp_path, "--system", "TASK3B_3", "-o", tmp_path / "out")
    assert code == 2 and "schema_version: expected 2, found 99" in told
    assert not any((tmp_path / "out").glob("*.json"))


def test_energy_that_is_no_number_is_refused(tmp_path, saiseld) -> None:
    table, _ = perturbed(0, NAME, frames=2)
    table.energy_map[5, 3, 3] = np.nan
    write_candidates(tmp_path / f"{NAME}.candidates.parquet", table)
    code, told = saiseld("emit", tmp_path, "--system", "TASK3B_3", "-o", tmp_path / "out")
    assert code == 2 and "energy_map, row 5: expected finite energies" in told


def test_elevations_that_are_assumed_are_said(tmp_path, saiseld, caplog) -> None:
    table, _ = perturbed(0, NAME, frames=1)
    for assumed in (True, False):
        made_from = {"made_from": {"elevation_assumed": assumed}}
        write_candidates(
            tmp_path / f"{NAME}.candidates.parquet", replace(table, provenance=made_from)
        )
        caplog.clear()
        assert saiseld("emit", tmp_path, "--system", "TASK3B_3", "-o", tmp_path / "out")[0] == 0
        assert (f"elevations of {NAME} are assumed" in caplog.text) == assumed
