"""Compare what two source trees make, byte for byte; no test of its own, but run at a refactoring.

    python tests/same_outputs.py make TREE FOLDER    # run the commands of a source tree
    python tests/same_outputs.py compare FOLDER FOLDER

``make`` runs the demo, scores it, simulates the recipe ``tiny`` and goes from there to features,
candidates, labels and predictions of every system. Files are compared byte for byte; candidate
tables column by column with what made them, zips member by member, the simulation's manifest
without the versions of packages.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SYSTEMS = ("Baseline", "Sparse peaks", "TASK3B_1", "TASK3B_2", "TASK3B_3", "TASK3B_4", "dense")


def make(tree: Path, folder: Path) -> None:
    """Run a source tree's commands into a folder."""
    source = tree.resolve() / "src"
    folder.mkdir(parents=True, exist_ok=True)
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    cache = {"XDG_CACHE_HOME": str(folder.resolve().with_suffix(".cache"))}
    environment = os.environ | one_thread | cache | {"PYTHONPATH": str(source)}
    demo, model = source / "saiseld/assets/demo", source / "saiseld/assets/matchability.skops"
    for command in (
        ("demo", "-o", "demo"),
        ("evaluate", "demo", demo, "--json", "scores.json"),
        ("simulate", "-o", "tree", "--recipe", "tiny"),
        ("label", "--audio", "tree/eigen_dev", "--events", "tree/metadata_dev", "-o", "labels"),
        ("features", "tree/eigen_dev", "-o", "features"),
        ("detect", "tree/eigen_dev", "--video", "tree/video_dev", "-o", "candidates"),
        ("detect", "tree/eigen_dev", "--features", "features", "--all-maps", "-o", "from_features"),
        ("calibrate", "from_features", "--model", model, "-o", "calibrated"),
        *(("emit", "candidates", "--system", name, "-o", f"emitted/{name}") for name in SYSTEMS),
        ("submit", "candidates", "-o", "submission.zip"),
        ("evaluate", "emitted/TASK3B_1", "tree/labels_dev", "--json", "tiny_scores.json"),
    ):
        said = subprocess.run(
            [sys.executable, "-m", "saiseld.cli.main", *map(str, command)],
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        # What is printed is an output too, where it names no folder of the tree itself.
        if command[0] == "evaluate":
            (folder / f"{Path(command[-1]).stem}.txt").write_text(said)


def compare(before: Path, after: Path) -> int:
    """Print what differs; return how many files do."""
    names = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in (before, after)
    ]
    alone = sorted(names[0] ^ names[1])
    common = sorted(names[0] & names[1])
    different = [name for name in common if _content(before / name) != _content(after / name)]
    for name in alone:
        print(f"only in {before if name in names[0] else after}: {name}")
    for name in different:
        print(f"differs: {name}")
    print(f"{len(common)} files in both, {len(different)} differ; {len(alone)} in one alone")
    return len(alone) + len(different)


def _content(path: Path) -> Any:
    if path.suffix == ".parquet":
        # Arrow's own stream format: schema with its metadata, then the bare buffers.
        table = pq.read_table(path).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return sink.getvalue().to_pybytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as opened:
            return {name: opened.read(name) for name in opened.namelist()}
    if path.name == "manifest.json":
        return {k: v for k, v in json.loads(path.read_bytes()).items() if k != "versions"}
    return path.read_bytes()


def main() -> None:
    """Make or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("make", "compare"))
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    options = parser.parse_args()
    if options.what == "make":
        make(options.first, options.second)
    else:
        sys.exit(compare(options.first, options.second) > 0)


if __name__ == "__main__":
    main()
