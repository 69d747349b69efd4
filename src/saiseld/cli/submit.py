"""``saiseld submit``: the four systems of the challenge entry in one zip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def submit(
    candidates: Annotated[Path, typer.Argument(help="Folder of candidate tables.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to write.")],
    model: Annotated[
        Path | None, typer.Option(help="Matchability model, if the candidates are not calibrated.")
    ] = None,
    author: Annotated[
        str, typer.Option(help="Family name of the corresponding author.")
    ] = "Author",
    institute: Annotated[str, typer.Option(help="Abbreviation of the institute.")] = "INST",
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
) -> None:
    """Write TASK3B_1 to TASK3B_4, check every file against the official limits, and zip them."""
    from tempfile import TemporaryDirectory

    from saiseld.decision.matchability import Matchability
    from saiseld.decision.systems import SUBMITTED, emit_recording, system_named
    from saiseld.formats.candidates import candidate_files
    from saiseld.pipeline.submission import submission_labels, write_submission
    from saiseld.runtime.files import output_folder
    from saiseld.runtime.parallel import run_all

    submission_labels(author, institute)
    files = candidate_files(candidates)
    learned = None if model is None else Matchability.load(model)
    with TemporaryDirectory(dir=output_folder(output.absolute().parent), prefix=".") as work:
        folders = {name: output_folder(Path(work) / name) for name in SUBMITTED}
        systems = {system_named(name): folder for name, folder in folders.items()}
        tasks = {name: (path, systems, learned) for name, path in files.items()}
        run_all(emit_recording, tasks, jobs=jobs, title="emitting")
        count = write_submission(output, folders, author=author, institute=institute)
    typer.echo(f"{count} prediction files of {len(files)} recordings, read back: {output}")
