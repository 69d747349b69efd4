"""``saiseld emit`` refuses tables that it cannot trust."""

import json

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
