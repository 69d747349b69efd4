"""Damage that seeks code not yet reached: ``make fuzz-guided``, one reader at a time, by atheris.

    python -m tests.robustness.guided FLAC -max_total_time=600

Everything behind the reader's name is for libFuzzer. Inputs that reach something new gather in the
user's cache, beside the reader's examples; the first finding ends the run and is kept there too.
"""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["saiseld"]):
    from tests.robustness.fuzz import Hang, try_reader
    from tests.robustness.readers import READERS


def main() -> None:
    """Fuzz a reader until something is found or libFuzzer is told to end."""
    from saiseld.runtime.cache import user_cache

    if len(sys.argv) < 2 or sys.argv[1] not in READERS:
        sys.exit(f"which reader? one of: {', '.join(READERS)}")
    name, *options = sys.argv[1:]
    reader, corpus = READERS[name], user_cache("fuzz") / name.replace(" ", "-")
    corpus.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)

    def late(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, late)
    with TemporaryDirectory() as scratch:
        examples, folder = Path(scratch) / "examples", Path(scratch) / "input"
        examples.mkdir()
        folder.mkdir()
        for number, example in enumerate(reader.examples(examples)):
            (corpus / f"example{number}").write_bytes(example.read_bytes())

        def one(content: bytes) -> None:
            outcome, told = try_reader(reader, content, folder)
            if outcome not in ("read", "refused"):
                raise RuntimeError(f"{outcome}: {told}")

        atheris.Setup([sys.argv[0], f"-artifact_prefix={corpus}/", *options, str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
