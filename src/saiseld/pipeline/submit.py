"""The challenge's submission package: four systems and their meta information in one zip.

Layout: ``task3/<label>/<label>.meta.yaml`` and ``task3/<label>/<label>.output/<recording>.json``,
``<label>`` being ``<author>_<institute>_task3b_<1-4>``. The report itself is the author's to add.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open

from saiseld.decision.systems import SUBMITTED, System, system_named
from saiseld.formats.annotation import MAX_PREDICTION_BYTES, read_annotations
from saiseld.formats.candidates import candidate_files, read_provenance
from saiseld.pipeline.emit import emit_recordings
from saiseld.pipeline.weights import find_weights
from saiseld.runtime.errors import AnnotationError, OutputError, RecipeError
from saiseld.runtime.files import atomic_path, output_folder, temporary_folder

_OPEN = "to be completed"
_PART = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


def submission_labels(author: str, institute: str) -> dict[str, str]:
    """Return the label of each submitted system's name.

    Raises
    ------
    RecipeError
        If author or institute is not one plain word.
    """
    for name, value in (("author", author), ("institute", institute)):
        if not _PART.fullmatch(value):
            raise RecipeError(name, expected="one word of letters, digits and -", found=repr(value))
    return {name: f"{author}_{institute}_{name.lower()}" for name in SUBMITTED}


def submit_recordings(
    candidates: Path,
    output: Path,
    *,
    author: str,
    institute: str,
    model: Path | None = None,
    jobs: int = 1,
) -> int:
    """Emit the four submitted systems and zip them; return the number of prediction files.

    Parameters
    ----------
    candidates
        A candidate table's file, or a folder of them.
    output
        The zip to write, whole or not at all.
    author, institute
        As in `write_submission`.
    model
        A matchability model's file; None takes the matchability that the tables hold.
    jobs
        Recordings at a time.
    """
    submission_labels(author, institute)
    with temporary_folder(output.absolute().parent) as work:
        folders = {name: output_folder(work / name) for name in SUBMITTED}
        systems = {system_named(name): folder for name, folder in folders.items()}
        emitted = emit_recordings(
            candidates, systems, model=model, max_bytes=MAX_PREDICTION_BYTES, jobs=jobs
        )
        first = next(iter(candidate_files(candidates).values()))
        used = read_provenance(first)
        count = write_submission(output, folders, author=author, institute=institute, used=used)
    assert count == len(SUBMITTED) * len(emitted)
    return count


def write_submission(
    path: Path,
    systems: Mapping[str, Path],
    *,
    author: str,
    institute: str,
    used: Mapping[str, Any] | None = None,
) -> int:
    """Zip the folders of the submitted systems with their meta information; return the files.

    Parameters
    ----------
    path
        The zip to write, whole or not at all.
    systems
        Folder of ``<recording>.json`` of each of the four submitted systems.
    author, institute
        Family name of the corresponding author and abbreviation of the institute.
    used
        What the candidates say made them, for the meta information.

    Raises
    ------
    OutputError
        If there is no recording, the systems do not cover the same ones, or a file read back from
        the zip breaks the official format or limit.
    """
    labels = submission_labels(author, institute)
    files = {name: sorted(folder.glob("*.json")) for name, folder in systems.items()}
    recordings = {name: [file.name for file in found] for name, found in files.items()}
    if not recordings[SUBMITTED[0]]:
        raise OutputError(path, expected="recordings to submit", found="none")
    for name in SUBMITTED:
        if recordings.get(name) != recordings[SUBMITTED[0]]:
            raise OutputError(
                path,
                place=name,
                expected=f"the {len(recordings[SUBMITTED[0]])} recordings of {SUBMITTED[0]}",
                found=f"{len(recordings.get(name, []))} recordings",
            )
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as package:
            for name, label in labels.items():
                folder = f"task3/{label}"
                meta = meta_information(label, system_named(name), author, institute, used or {})
                package.writestr(_member(f"{folder}/{label}.meta.yaml"), meta)
                for file in files[name]:
                    own = _member(f"{folder}/{label}.output/{file.name}")
                    package.writestr(own, file.read_bytes())
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


def count_parameters(checkpoint: Path) -> int:
    """Return how many numbers a checkpoint of ours holds, from its header alone."""
    with safe_open(checkpoint, framework="np") as file:
        names = list(file.keys())
        return sum(math.prod(file.get_slice(name).get_shape()) for name in names)


def meta_information(
    label: str, system: System, author: str, institute: str, used: Mapping[str, Any]
) -> str:
    """Return the YAML that describes a system; what only its author knows is left open.

    Parameters
    ----------
    label, system, author, institute
        As in the package.
    used
        What the candidates say made them; see `saiseld.formats.candidates.Candidates`.
    """
    ranking = "learned matchability" if system.ranking == "matchability" else "raw score"
    weights = find_weights()
    parameters = {
        path.name: count_parameters(path) for path in (weights.front_end, weights.detector)
    }
    named = f"{system.name}, {system.emission} emission, ranked by {ranking}, cap {system.cap}"
    meta = {
        "submission": {
            "label": label,
            "name": named,
            "abbreviation": system.name,
            "authors": [
                {
                    "lastname": author,
                    "firstname": _OPEN,
                    "email": _OPEN,
                    "corresponding": True,
                    "affiliation": {
                        "abbreviation": institute,
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
                "candidates_made_by": dict(used),
                "selection": f"top {system.cap} per frame and class by raw score",
                "ranking": ranking,
                "mask_emission": system.emission,
            },
            "complexity": {
                "packaged_weights": parameters,
                "total_parameters": sum(parameters.values()),
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
    head = f"# What is marked {_OPEN!r} is for the author to fill in; parameters are those of the\n"
    head += "# packaged weights: give your own numbers if the candidates were made with others.\n"
    return head + str(yaml.safe_dump(meta, sort_keys=False, allow_unicode=True))
