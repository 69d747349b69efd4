"""Where every file of a result is from, under which licence, written beside the files."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Item:
    """A row of ATTRIBUTION.csv: one file of the result."""

    file: str
    split: str
    category: str
    """Class folder of a sound, ``panorama`` of a picture."""
    kind: str
    """``recording``, ``excerpt``, ``sequence`` (single hits put in a row), ``rendered`` (played
    from a soundfont), ``procedural`` or ``picture``."""
    seconds: float
    source: str
    """Speaker, kit, recordist: within a class, on one side only."""
    package: str
    version: str
    path: str
    """Member of the package; of a sequence, all its hits."""
    licence: str


def file_name(index: int, kind: str, package: str, path: str, suffix: str) -> str:
    """Return a safe file name that tells kind and source: nothing in it is a path."""
    stem = PurePosixPath(path).name.split(".")[0]
    words = (re.sub("[^A-Za-z0-9]+", "-", word).strip("-") for word in (kind, package, stem))
    return "_".join([f"{index:03d}", *filter(None, words)])[:80] + suffix


def write_attribution(
    folder: Path, items: Sequence[Item], left_out: Sequence[str], texts: Mapping[str, str]
) -> None:
    """Write ATTRIBUTION.csv, ATTRIBUTION.md and the packages' licence texts into a folder.

    Parameters
    ----------
    folder
        The result.
    items
        Its files.
    left_out
        Files that could not be used, with the reason.
    texts
        Licence text of each package.
    """
    with (folder / "ATTRIBUTION.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Item)])
        writer.writeheader()
        writer.writerows(asdict(item) for item in items)
    used = sorted({(item.package, item.version, item.licence) for item in items if item.package})
    lines = [
        "# Attribution",
        "",
        "Source, path and licence of every file are in ATTRIBUTION.csv; the packages' own licence",
        "texts, with their authors, in licences/. Every file was converted, cut and levelled.",
        "",
        *summary(items),
        "",
        "| package | version | licence |",
        "|---|---|---|",
        *(f"| {package} | {version} | {licence} |" for package, version, licence in used),
    ]
    lines += ["", "## Sources, and their clips", "", *source_table(items)]
    if left_out:
        lines += ["", "## Left out", "", *(f"- {reason}" for reason in left_out)]
    (folder / "ATTRIBUTION.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    licences = folder / "licences"
    licences.mkdir()
    for package, _, _ in used:
        name = re.sub("[^A-Za-z0-9.+]+", "-", package).strip("-")
        (licences / f"{name}.txt").write_text(texts[package], encoding="utf-8")


def summary(items: Sequence[Item]) -> list[str]:
    """Return a Markdown table: files, seconds, kinds and licences of each category and split."""
    lines = [
        "| category | split | files | seconds | of them | sources | licences |",
        "|---|---|---:|---:|---|---:|---|",
    ]
    for category, split in dict.fromkeys((item.category, item.split) for item in items):
        rows = [item for item in items if (item.category, item.split) == (category, split)]
        kinds = [row.kind for row in rows]
        lines.append(
            f"| {category} | {split} | {len(rows)} | {sum(row.seconds for row in rows):.0f} "
            f"| {', '.join(f'{kinds.count(kind)} {kind}' for kind in dict.fromkeys(kinds))} "
            f"| {len({row.source for row in rows if row.source})} "
            f"| {'; '.join(sorted({row.licence for row in rows if row.package}))} |"
        )
    return lines


def source_table(items: Sequence[Item]) -> list[str]:
    """Return a Markdown table: the sources of each category and split, and how many files each."""
    lines = ["| category | split | sources |", "|---|---|---|"]
    for category, split in dict.fromkeys((item.category, item.split) for item in items):
        files = Counter(
            item.source
            for item in items
            if (item.category, item.split) == (category, split) and item.source
        )
        named = ", ".join(f"{source} {count}" for source, count in sorted(files.items()))
        lines.append(f"| {category} | {split} | {named} |")
    return lines
