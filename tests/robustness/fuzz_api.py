"""Whatever the API's own description allows, and much that it does not: ``make fuzz-api``.

A server whose jobs do nothing is asked by schemathesis; every answer must be one that the
description names, of the form that it says.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from saiseld.serve.api import serve
from saiseld.serve.jobs import Limits
from tests.serve.fake import work

LEFT_OUT = "positive_data_acceptance"
"""Any bytes are a body as the description has it, but few are a recording."""


def main() -> None:
    """Ask, and end as schemathesis does: with 1 if anything was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m tests.robustness.fuzz_api"
    )
    parser.add_argument("--examples", type=int, default=100, help="of each operation and phase")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    limits = Limits(jobs=1_000_000, upload_bytes=1 << 20)
    with (
        TemporaryDirectory() as folder,
        serve(Path(folder), port=0, limits=limits, do=work) as server,
    ):
        line = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}openapi.json"]
        line += ["--max-examples", str(options.examples), "--seed", str(options.seed)]
        line += ["--checks", "all", "--exclude-checks", LEFT_OUT, "--continue-on-failure"]
        code = subprocess.run(line, check=False, cwd=folder).returncode
    sys.exit(code)


if __name__ == "__main__":
    main()
