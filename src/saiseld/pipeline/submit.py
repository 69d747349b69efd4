"""The challenge's submission package: four systems and their meta information in one zip.

Layout: ``task3/<label>/<label>.meta.yaml`` and ``task3/<label>/<label>.output/<recording>.json``,
``<label>`` being ``<author>_<institute>_task3b_<1-4>``. The report itself is the author's to add.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from saiseld.decision.systems import SUBMITTED, System, system_named
from saiseld.formats.annotation import MAX_PREDICTION_BYTES, read_annotations
from saiseld.formats.candidates import candidate_files, read_provenance
from saiseld.pipeline.emit import emit_recordings
from saiseld.pipeline.weights import (
    MATCHABILITY,
    find_weights,
    fusion_record,
    matchability_record,
)
from saiseld.runtime.errors import AnnotationError, CandidateError, OutputError, RecipeError
from saiseld.runtime.files import atomic_path, output_folder, temporary_folder

_OPEN = "to be completed"
_PART = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


SLOTS = 4
"""Systems in a submission."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who submits.

    Parameters
    ----------
    name, institute
        Family name of the corresponding author and abbreviation of the institute, one word each.

    Raises
    ------
    RecipeError
        If one is not one plain word.
    """

    name: str
    institute: str

    def __post_init__(self) -> None:
        for part, value in (("author", self.name), ("institute", self.institute)):
            if not _PART.fullmatch(value):
                raise RecipeError(
                    part, expected="one word of letters, digits and -", found=repr(value)
                )

    def labels(self) -> list[str]:
        """Return the labels of the four systems, ``<author>_<institute>_task3b_<1-4>``."""
        return [f"{self.name}_{self.institute}_task3b_{slot}" for slot in range(1, SLOTS + 1)]


def submitted_systems(names: Sequence[str] = SUBMITTED) -> list[System]:
    """Return the four systems of these names.

    Raises
    ------
    RecipeError
        If there are not four different ones.
    """
    systems = [system_named(name) for name in names]
    if len(systems) != SLOTS or len(set(systems)) != SLOTS:
        raise RecipeError(
            "system", expected=f"{SLOTS} different systems", found=", ".join(names) or "none"
        )
    return systems


def submit_recordings(
    candidates: Path,
    output: Path,
    author: Author,
    *,
    systems: Sequence[System] | None = None,
    weights: Path | None = None,
    model: Path | None = None,
    jobs: int = 1,
) -> int:
    """Emit four systems and zip them; return the number of prediction files.

    Parameters
    ----------
    candidates
        A candidate table's file, or a folder of them.
    output
        The zip to write, whole or not at all.
    author
        Who submits.
    systems
        Four, in the order of their labels; `submitted_systems` if None.
    weights, model
        As in `saiseld.pipeline.emit.emit_recordings`.
    jobs
        Recordings at a time.

    Raises
    ------
    CandidateError
        If a table lacks a branch or model that one of the systems needs.
    OutputError
        If a file breaks the official format or limit.
    """
    chosen = list(systems or submitted_systems())
    used = _models_used(candidates, weights, model)
    with temporary_folder(output.absolute().parent) as work:
        folders = {system: output_folder(work / str(slot)) for slot, system in enumerate(chosen)}
        emitted = emit_recordings(
            candidates,
            folders,
            weights=weights,
            model=model,
            max_bytes=MAX_PREDICTION_BYTES,
            jobs=jobs,
        )
        count = write_submission(output, folders, author, used)
    assert count == len(chosen) * len(emitted)
    return count


def _models_used(candidates: Path, weights: Path | None, model: Path | None) -> dict[str, Any]:
    """Return the record of every model file that the tables, and what decides on them, are of.

    Raises
    ------
    CandidateError
        If tables were made by different models.
    """
    records: dict[str, Any] = {}
    first: Path | None = None
    for path in candidate_files(candidates).values():
        of_table = read_provenance(path).get("models", {})
        if first is None:
            first, records = path, dict(of_table)
        elif of_table != records:
            raise CandidateError(
                path,
                place="models",
                expected=f"those of {first.name}",
                found="others",
                advice="A submission is of one set of models: detect again with one",
            )
    if weights is not None:
        records |= fusion_record(find_weights(weights))
    if model is not None:
        records |= matchability_record(model)
    return records


def write_submission(
    path: Path,
    systems: Mapping[System, Path],
    author: Author,
    used: Mapping[str, Any] | None = None,
) -> int:
    """Zip the folders of four systems with their meta information; return the files.

    Parameters
    ----------
    path
        The zip to write, whole or not at all.
    systems
        Folder of ``<recording>.json`` of each system, in the order of their labels.
    author
        Who submits.
    used
        The record of every model file (`saiseld.pipeline.weights.model_record`).

    Raises
    ------
    OutputError
        If there is no recording, the systems do not cover the same ones, or a file read back from
        the zip breaks the official format or limit.
    """
    files = {system: sorted(folder.glob("*.json")) for system, folder in systems.items()}
    first, *others = files
    names = [file.name for file in files[first]]
    if not names:
        raise OutputError(path, expected="recordings to submit", found="none")
    for system in others:
        if [file.name for file in files[system]] != names:
            raise OutputError(
                path,
                place=system.name,
                expected=f"the {len(names)} recordings of {first.name}",
                found=f"{len(files[system])} recordings",
            )
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as package:
            for system, label in zip(files, author.labels(), strict=True):
                folder = f"task3/{label}"
                meta = meta_information(label, system, author, used or {})
                package.writestr(_member(f"{folder}/{label}.meta.yaml"), meta)
                for file in files[system]:
                    records = _member(f"{folder}/{label}.output/{file.name}")
                    package.writestr(records, file.read_bytes())
        return _check_package(temporary, path)


def _member(name: str) -> zipfile.ZipInfo:
    """Return a member without the hour it was made, so that the same files give the same zip."""
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member


def _check_package(package: Path, named: Path) -> int:
    """Read every prediction back from the zip as the scorer does; return how many there are."""
    with zipfile.ZipFile(package) as opened, temporary_folder(package.parent) as folder:
        members = [name for name in opened.namelist() if name.endswith(".json")]
        for member in members:
            file = Path(opened.extract(member, folder))
            try:
                read_annotations(file, predictions=True, max_bytes=MAX_PREDICTION_BYTES)
            except AnnotationError as error:
                raise OutputError(
                    named, place=member, expected=error.expected, found=error.found
                ) from error
            file.unlink()
    return len(members)


def meta_information(label: str, system: System, author: Author, used: Mapping[str, Any]) -> str:
    """Return the YAML that describes a system; what only its author knows is left open.

    Parameters
    ----------
    label, system, author
        As in the package.
    used
        The record of every model file; those of the system's branches are named.
    """
    ranking = "learned matchability" if system.ranking == "matchability" else "raw score"
    if system.is_fused:
        ranking = "probability of a fusion model of both branches' evidence"
    needed = {
        name: record
        for name, record in used.items()
        if record["branch"] in system.branches
        and not (name == MATCHABILITY and system.ranking != "matchability")
    }
    parameters = {name: record["parameters"] for name, record in needed.items()}
    limit = system.max_per_class
    named = f"{system.name}, {system.emission} emission, ranked by {ranking}"
    meta = {
        "submission": {
            "label": label,
            "name": named,
            "abbreviation": system.name,
            "authors": [
                {
                    "lastname": author.name,
                    "firstname": _OPEN,
                    "email": _OPEN,
                    "corresponding": True,
                    "affiliation": {
                        "abbreviation": author.institute,
                        "institute": _OPEN,
                        "location": _OPEN,
                    },
                }
            ],
        },
        "system": {
            "description": {
                "track": "B",
                "input": "4-channel microphone array, 360-degree video",
                "branches": list(system.branches),
                "models": {name: record["digest"] for name, record in needed.items()},
                "selection": f"top {limit} per frame and class"
                if limit
                else "the public baseline's",
                "minimum_score": system.min_score,
                "ranking": ranking,
                "mask_emission": system.emission,
            },
            "complexity": {
                "parameters": {n: _OPEN if c is None else c for n, c in parameters.items()},
                "total_parameters": sum(c or 0 for c in parameters.values()) or _OPEN,
            },
            "external_datasets": _OPEN,
            "source_code": _OPEN,
        },
        "results": {
            "development_dataset": dict.fromkeys(
                ("macro_mAP", "macro_AP50", "macro_pearson_r"), _OPEN
            )
        },
    }
    head = f"# What is marked {_OPEN!r} is for the author to fill in.\n"
    return head + str(yaml.safe_dump(meta, sort_keys=False, allow_unicode=True))
