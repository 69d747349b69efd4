"""A small and fixed share of ``make fuzz``, and damage that hypothesis thinks of."""

from argparse import Namespace
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saiseld.runtime.errors import SaiseldError
from tests.robustness import fuzz as fuzzing
from tests.robustness.fuzz import Tally, fuzz, fuzz_kept, table
from tests.robustness.mutate import mutated
from tests.robustness.readers import READERS
from tests.robustness.structured import CHANGES

COUNT = 3
"""Of each reader: some 200 inputs in all, so that every kind of damage is met."""


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_refused_or_read_as_what_they_are(reader: str) -> None:
    tally = fuzz(reader, seed=0, count=COUNT)
    assert tally.inputs == COUNT
    assert not tally.bad, (tally.findings, table([tally], 0))


@pytest.mark.parametrize("reader", CHANGES)
def test_well_formed_files_of_other_content_are_refused_or_read(reader: str) -> None:
    tally = fuzz(reader, seed=0, count=COUNT, structured=True)
    assert tally.inputs == COUNT
    assert not tally.bad, (tally.findings, table([tally], 0))


@pytest.mark.parametrize("reader", ["annotation JSON", "events CSV", "recipe TOML", "features"])
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False))
def test_damage_that_hypothesis_thinks_of(reader: str, tmp_path: Path, random: Random) -> None:
    own, folder = READERS[reader], tmp_path / "input"
    folder.mkdir(exist_ok=True)
    (tmp_path / "examples").mkdir(exist_ok=True)
    examples = [path.read_bytes() for path in own.examples(tmp_path / "examples")]
    (folder / own.file).write_bytes(mutated(examples[0], examples, random))
    try:
        own.read(folder / own.file)
    except SaiseldError as error:
        assert str(error).isprintable()


def test_the_same_seed_damages_alike() -> None:
    first = mutated(b"content" * 9, [b"other"], Random("a"))
    assert first == mutated(b"content" * 9, [b"other"], Random("a")) != b"content" * 9


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Namespace(keep=tmp_path / "kept.jsonl", seed=1, structured=False, first=0, inputs=2)
    made = Tally("events CSV", 2, Counter(read=1, refused=1), peak_mb=90.0, cpu_s=0.5)
    monkeypatch.setattr(fuzzing, "fuzz", lambda *_, **__: made)
    assert fuzz_kept("events CSV", options) == made
    monkeypatch.delattr(fuzzing, "fuzz")
    assert fuzz_kept("events CSV", options) == made
