"""Recipes are read from TOML, merged table by table, and what is none is told in a line."""

from pathlib import Path

import pytest
from tests.errors import raises

from saiseld.runtime.errors import RecipeError
from saiseld.runtime.recipe_files import (
    RecipeModel,
    builtin_names,
    builtin_summary,
    recipe_keys,
    recipe_toml,
)
from saiseld.simulation.recipes import read_recipe
from saiseld.training.detector import recipes as detector
from saiseld.training.seld import recipes as seld


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("extends = 'tiny'\ngap_s = [nan]", {"found": "nan"}),
        ("extends = 'tiny'\nmoving = inf", {"found": "inf"}),
        ("extends = 'tiny'\nseconds = 1e999", {"found": "1e999"}),
        ("extends = ['tiny']", {"place": "extends", "expected": "tiny"}),
        ("extends = 'tiny'\nmoving = 2", {"place": "moving", "found": "1"}),
        ("a = " + "[" * 100_000, {"place": "nested values"}),
        ("seconds = " + "9" * 5000, {"expected": "TOML"}),
        ("\0", {"expected": "TOML"}),
    ],
)
def test_what_is_no_recipe_is_told(tmp_path: Path, text: str, fields: dict[str, str]) -> None:
    (tmp_path / "a.toml").write_text(text)
    with raises(RecipeError, tmp_path / "a.toml", **fields):
        read_recipe(str(tmp_path / "a.toml"))


@pytest.mark.parametrize("name", ["a\0b", "n" * 5000, "/"])
def test_names_of_no_recipe(name: str) -> None:
    with raises(RecipeError, expected="sim26"):
        read_recipe(name)


def test_a_table_keeps_the_keys_that_a_file_does_not_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "compact"\n[augmentation]\nflip = 0.0\n[loss_weights]\nbox = 2.0\n')
    compact, mine = detector.read_recipe("compact"), detector.read_recipe(str(path))
    augmentation = {**compact.augmentation.model_dump(), "flip": 0.0}
    weights = {**compact.loss_weights.model_dump(), "box": 2.0}
    changed = {"augmentation": augmentation, "loss_weights": weights}
    assert mine.model_dump() == compact.model_dump() | changed
    assert augmentation["rotation"] and augmentation["rgb_dropout"] == 0.15
    assert weights["energy"] == 5.0


def test_a_list_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "paper"\ngroups = [{ parameters = "a", rate = 0.5 }]\n')
    assert [group.parameters for group in detector.read_recipe(str(path)).groups] == ["a"]


def test_changes_are_put_over_a_recipe_in_their_order() -> None:
    changes = ["seconds=2", "train.rooms = 1", "walls=materials", "seconds=3", "gap_s=[1, 2]"]
    tiny, changed = read_recipe("tiny"), read_recipe("tiny", changes)
    assert changed == tiny.model_copy(
        update={
            "seconds": 3.0,
            "train": tiny.train.model_copy(update={"rooms": 1}),
            "walls": "materials",
            "gap_s": (1.0, 2.0),
        }
    )


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ("seconds", {"place": "", "expected": "key=value", "found": "seconds"}),
        ("=2", {"expected": "key=value"}),
        ("a b=2", {"place": "", "expected": "key=value"}),
        ("moving=nan", {"place": "moving"}),
        ("seconds=-1", {"place": "seconds"}),
        ("train.rooms=0", {"place": "train.rooms"}),
        ("train=3", {"place": "train"}),
    ],
)
def test_a_change_that_is_none_is_told(change: str, fields: dict[str, str]) -> None:
    with raises(RecipeError, "--set", **fields):
        read_recipe("tiny", [change])


@pytest.mark.parametrize(
    ("read", "text", "place", "nearest"),
    [
        (read_recipe, "secnds = 2", "secnds", "seconds"),
        (read_recipe, "train = { room = 1, recordings = 1 }", "train.room", "train.rooms"),
        (detector.read_recipe, "lerning_rate = 1.0", "lerning_rate", "learning_rate"),
        (detector.read_recipe, "flip = 0.5", "flip", "augmentation.flip"),
        (seld.read_recipe, "[scenes]\nsnr = 3", "scenes.snr", "scenes.snr_db"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(tmp_path, read, text, place, nearest) -> None:
    base = "tiny" if read is read_recipe else "compact"
    (tmp_path / "a.toml").write_text(f'extends = "{base}"\n{text}\n')
    with raises(RecipeError, tmp_path / "a.toml", place=place, advice=nearest):
        read(str(tmp_path / "a.toml"))


def test_a_misspelt_key_is_told_before_the_one_that_it_misses(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('size = "compact"\nepoch = 3')
    with raises(RecipeError, place="epoch", advice="epochs"):
        detector.read_recipe(str(tmp_path / "a.toml"))


@pytest.mark.parametrize(
    ("package", "read"),
    [
        ("saiseld.simulation", read_recipe),
        ("saiseld.training.detector", detector.read_recipe),
        ("saiseld.training.seld", seld.read_recipe),
    ],
)
def test_a_recipe_written_out_is_the_same_recipe(tmp_path: Path, package, read) -> None:
    for name in builtin_names(package):
        assert builtin_summary(name, package)
        (tmp_path / "whole.toml").write_text(recipe_toml(read(name)))
        assert read(str(tmp_path / "whole.toml")) == read(name)


def test_keys_are_described_by_what_their_model_says() -> None:
    class Inner(RecipeModel):
        flip: float = 0.5
        """Share of
        the frames."""

    class Outer(RecipeModel):
        steps: int
        inner: Inner = Inner()

    steps, flip = recipe_keys(Outer)
    assert (steps.name, steps.default, steps.meaning) == ("steps", "", "")
    assert (flip.name, flip.default, flip.meaning) == ("inner.flip", "0.5", "Share of the frames.")
