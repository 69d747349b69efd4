"""Which stages make a complete system of a corpus.

Weights and results go to one folder:

    uplam, detector, seld .safetensors, fusion.json, matchability.skops, viewing.json and graphs
    work/       runs of the trainers, features, candidate tables, predictions
    report/     the page of scores
    stages.json what was done, by which commands, in what time

Networks are selected in rooms of dev-train set aside for it; what decides (fusion, matchability,
the viewing threshold) is fitted in other rooms set aside; scores are those of dev-test, which
nothing has learned from, or, where there is none, of the rooms that networks were selected in,
which is optimistic and said so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from saiseld.data.corpora import AnnotatedRecording, Corpus, open_corpus, read_corpus_map
from saiseld.data.stairs26 import AUDIO_FOLDERS, FRAMES_FOLDER, LABEL_FOLDER, VIDEO_FOLDER
from saiseld.formats.checkpoint import check_header, read_checkpoint
from saiseld.runtime.errors import DataError
from saiseld.runtime.files import output_folder
from saiseld.seld.recogniser_model import KIND
from saiseld.training.all.stages import Stage
from saiseld.training.seld.data import corpus_roles

AUDIO_SYSTEMS = ("audio",)
SYSTEMS = ("audiovisual", "audio", "TASK3B_1", "TASK3B_3")
"""Those that are scored: both branches, the audio branch alone, the detector alone by matchability
and by its own score."""
BY_MATCHABILITY = "TASK3B_1"
FEWEST_ROOMS = 2
"""Rooms to calibrate in that matchability takes: it is chosen with one of them held out."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choices:
    """What may be chosen.

    Parameters
    ----------
    front_end
        ``train``, or a checkpoint to take as it is.
    seld_recipe, detector_recipe
        Recipes of both networks.
    seld_start
        SELD weights to start from; None for none.
    detector_start
        A detector's, or torchvision's.
    recogniser
        What names sources on beams towards them, a checkpoint that is taken as it is; None for
        none.
    bank, responses
        What to mix scenes of, beside the recordings.
    encoder
        Pretrained encoder, if not that of ``seld_start``.
    class_map
        What the corpus' class numbers are.
    audio_only
        Whether there is to be no detector.
    steps
        Of both networks' trainings; None for those of the recipes.
    device, jobs
        Where networks run, and recordings at a time.
    """

    front_end: str
    seld_recipe: str = "adapt"
    detector_recipe: str = "compact"
    seld_start: str | None = "packaged"
    detector_start: Path | None = None
    recogniser: Path | None = None
    bank: Path | None = None
    responses: Path | None = None
    encoder: Path | None = None
    class_map: str = "starss"
    audio_only: bool = False
    steps: int | None = None
    device: str = "auto"
    jobs: int = 1


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Parameters
    ----------
    stages
        In order.
    scored
        Recordings whose scores are reported.
    is_optimistic
        Whether something was selected in their rooms.
    rooms
        By role.
    has_detector
        Whether the system sees.
    """

    stages: tuple[Stage, ...]
    scored: tuple[AnnotatedRecording, ...]
    is_optimistic: bool
    rooms: dict[str, list[str]]
    has_detector: bool


def read_plan(dataset: str | Path, weights: str | Path, choices: Choices) -> Plan:
    """Return the plan of a corpus on disk; see `make_plan`.

    Raises
    ------
    CheckpointError
        If what is to be the recogniser is none.
    """
    if choices.recogniser is not None:
        _, header = read_checkpoint(choices.recogniser)
        check_header(choices.recogniser, header, kind=KIND)
    corpus = open_corpus(dataset, read_corpus_map(choices.class_map))
    return make_plan(corpus, weights, choices)


def make_plan(corpus: Corpus, weights: str | Path, choices: Choices) -> Plan:
    """Return the stages that make a system of a corpus.

    Folders of links to the recordings of each role are made at once.

    Raises
    ------
    DataError
        If dev-train has fewer than three rooms, or recordings to decide or score on have no masks.
    """
    weights = output_folder(weights)
    roles = corpus_roles(corpus)
    dev_test = corpus.split("dev-test")
    scored = dev_test or roles["select"]
    for one in (*roles["calibrate"], *scored):
        if one.masks is None:
            raise DataError(
                one.audio,
                expected=f"its masks, {one.name}_std.json in {LABEL_FOLDER}",
                found="none",
                advice="Make them with `saiseld label` from 32 channels; fusion and scores need "
                "masks, `saiseld train seld` alone does not",
            )
    work = weights / "work"
    for role, recordings in (("calibrate", roles["calibrate"]), ("score", scored)):
        _link(work / "audio" / role, recordings)
    has_detector = not choices.audio_only and _can_see(corpus)
    rooms = {role: sorted({one.room for one in found}) for role, found in roles.items()}
    rooms["score"] = sorted({one.room for one in scored})
    systems = list(SYSTEMS if has_detector else AUDIO_SYSTEMS)
    if has_detector and len(rooms["calibrate"]) < FEWEST_ROOMS:
        _log.warning("no matchability: it takes 12 rooms of dev-train, 2 of them to calibrate in")
        systems.remove(BY_MATCHABILITY)
    stages = [*_networks(corpus, weights, work, choices, has_detector)]
    stages += _decision(corpus, weights, work, choices, systems)
    stages += _scores(corpus, weights, work, choices, systems)
    return Plan(tuple(stages), tuple(scored), not dev_test, rooms, has_detector)


def _can_see(corpus: Corpus) -> bool:
    """Return whether there is all that a detector learns from, in the layout of STAIRS26."""
    folders = [path for path in (VIDEO_FOLDER, FRAMES_FOLDER) if (corpus.path / path).is_dir()]
    audio = any((corpus.path / folder).is_dir() for folder in AUDIO_FOLDERS)
    return bool(folders) and audio and (corpus.path / LABEL_FOLDER).is_dir()


def _video(corpus: Corpus) -> Path:
    video = corpus.path / VIDEO_FOLDER
    return video if video.is_dir() else corpus.path / FRAMES_FOLDER


def _link(folder: Path, recordings: Sequence[AnnotatedRecording]) -> None:
    """Make a folder that holds links to recordings, and nothing else."""
    output_folder(folder)
    sounds = {one.audio.name: one.audio.resolve() for one in recordings}
    for path in folder.iterdir():
        if path.name not in sounds:
            path.unlink()
    for name, target in sounds.items():
        path = folder / name
        if not path.is_symlink():
            path.symlink_to(target)


def _options(**values: object) -> tuple[str, ...]:
    """Return options of a command, those that are None left out."""
    found: list[str] = []
    for name, value in values.items():
        if value is not None:
            found += [f"--{name.replace('_', '-')}", str(value)]
    return tuple(found)


def _networks(
    corpus: Corpus, weights: Path, work: Path, choices: Choices, has_detector: bool
) -> list[Stage]:
    stages: list[Stage] = []
    line: tuple[str, ...]
    device = choices.device
    if has_detector:
        front_end = weights / "uplam.safetensors"
        run = work / "front_end"
        if choices.front_end == "train":
            result, line = run / "uplam.safetensors", ("train", "uplam", "-o", str(run))
            line += ("--device", device)
            stages.append(Stage("front end", (line,), (result,), {result: front_end}))
        else:
            stages.append(Stage("front end", (), (), {Path(choices.front_end): front_end}))
        features = work / "features"
        audio = next(f for f in AUDIO_FOLDERS if (corpus.path / f).is_dir())
        line = ("features", str(corpus.path / audio), "--weights", str(weights))
        line += ("-o", str(features), *_options(jobs=choices.jobs))
        stages.append(Stage("features", (line,), (features,)))
        run = work / "detector"
        line = ("train", "detector", "--data", str(corpus.path), "--features", str(features))
        line += _options(
            recipe=choices.detector_recipe,
            start=choices.detector_start,
            steps=choices.steps,
            device=device,
        )
        result = run / "detector.safetensors"
        stages.append(
            Stage(
                "detector",
                ((*line, "-o", str(run)),),
                (result,),
                {result: weights / result.name},
            )
        )
    run = work / "seld"
    line = ("train", "seld", "--data", str(corpus.path))
    line += _options(
        class_map=choices.class_map,
        recipe=choices.seld_recipe,
        start=choices.seld_start,
        encoder=choices.encoder,
        bank=choices.bank,
        responses=choices.responses,
        steps=choices.steps,
        jobs=choices.jobs,
        device=device,
    )
    result = run / "seld.safetensors"
    copies = {result: weights / result.name}
    stages.append(Stage("SELD network", ((*line, "-o", str(run)),), (result,), copies))
    if choices.recogniser is not None:
        copies = {choices.recogniser: weights / "recogniser.safetensors"}
        stages.append(Stage("recogniser", (), (), copies))
    return stages


def _tables(
    corpus: Corpus, weights: Path, work: Path, choices: Choices, role: str, systems: Sequence[str]
) -> tuple[str, ...]:
    line: tuple[str, ...] = ("detect", str(work / "audio" / role), "--weights", str(weights))
    if tuple(systems) != AUDIO_SYSTEMS:
        line += ("--video", str(_video(corpus)), "--features", str(work / "features"))
    return (*line, "-o", str(work / "candidates" / role), *_options(jobs=choices.jobs))


def _decision(
    corpus: Corpus, weights: Path, work: Path, choices: Choices, systems: Sequence[str]
) -> list[Stage]:
    labels, tables = str(corpus.path / LABEL_FOLDER), work / "candidates" / "calibrate"
    line = _tables(corpus, weights, work, choices, "calibrate", systems)
    stages = [Stage("candidates to decide by", (line,), (tables,))]
    result = weights / "fusion.json"
    line = ("train", "fusion", str(tables), str(tables), labels, "-o", str(result))
    line += _options(jobs=choices.jobs)
    stages.append(Stage("fusion", (line,), (result,)))
    if BY_MATCHABILITY in systems:
        result = weights / "matchability.skops"
        line = ("train", "matchability", str(tables), labels, "--kind", "linear", "-o", str(result))
        stages.append(Stage("matchability", ((*line, *_options(jobs=choices.jobs)),), (result,)))
    result = weights / "viewing.json"
    line = ("train", "viewing", str(tables), labels, "--weights", str(weights))
    stages.append(Stage("viewing threshold", ((*line, *_options(jobs=choices.jobs)),), (result,)))
    stages.append(Stage("graphs", (("export", str(weights), "-o", str(weights)),), ()))
    return stages


def _scores(
    corpus: Corpus, weights: Path, work: Path, choices: Choices, systems: Sequence[str]
) -> list[Stage]:
    labels, tables = str(corpus.path / LABEL_FOLDER), work / "candidates" / "score"
    line = _tables(corpus, weights, work, choices, "score", systems)
    stages = [Stage("candidates to score", (line,), (tables,))]
    folders = []
    lines = []
    for system in systems:
        folders.append(str(work / "predictions" / system))
        line = ("emit", str(tables), "--system", system, "--weights", str(weights))
        lines.append((*line, "-o", folders[-1], *_options(jobs=choices.jobs)))
    stages.append(Stage("predictions", tuple(lines), tuple(map(Path, folders))))
    scores, report = weights / "report" / "scores.json", weights / "report"
    line = ("evaluate", *folders, labels, "--allow-missing", "--json", str(scores))
    line += ("--intervals", "--report", str(report), *_options(jobs=choices.jobs))
    stages.append(Stage("scores", (line,), (scores, report / "index.html")))
    return stages
