"""``saiseld recipes`` lists what there is, and prints what can be read again."""

from pathlib import Path

import pytest
from tests.errors import raises

from saiseld.cli.recipes import KINDS, recipes_page
from saiseld.runtime.errors import RecipeError
from saiseld.runtime.recipe_files import builtin_names
from saiseld.training.detector.recipes import read_recipe, shortened


def test_all_built_in_recipes_are_listed(saiseld) -> None:
    code, said = saiseld("recipes")
    assert code == 0
    for kind, (package, command) in KINDS.items():
        assert kind in said and command in said
        assert all(name in said for name in builtin_names(package))


@pytest.mark.parametrize(
    ("kind", "key"),
    [("simulation", "train.rooms"), ("detector", "groups[].rate"), ("seld", "scenes.snr_db")],
)
def test_keys_of_a_kind_are_listed_there_and_in_the_documentation(saiseld, kind, key) -> None:
    code, said = saiseld("recipes", kind)
    assert code == 0 and f"{key}: " in said
    assert f"| `{key}` |" in recipes_page()


def test_a_printed_recipe_is_read_again(saiseld, tmp_path: Path, capsys) -> None:
    from saiseld.runtime.recipe_files import recipe_toml

    code, said = saiseld("recipes", "detector", "compact")
    assert code == 0 and said == " ".join(recipe_toml(read_recipe("compact")).split())
    code, said = saiseld("recipes", "detector", "tiny")
    assert code == 2 and "compact, paper" in said


def test_a_change_on_the_command_line_is_checked(saiseld, tmp_path: Path) -> None:
    code, said = saiseld(
        "simulate", "-o", tmp_path / "tree", "--recipe", "tiny", "--set", "moving=2"
    )
    assert code == 2 and said.startswith("error: --set: moving: ")
    assert not (tmp_path / "tree").exists()


def test_so_many_steps_are_one_short_epoch() -> None:
    recipe = shortened(read_recipe("compact"), 3)
    assert (recipe.epochs, recipe.frames_per_epoch) == (1, 3 * recipe.batch_size)


def test_keys_of_a_version_ago_are_read_with_a_notice(tmp_path: Path, caplog) -> None:
    from saiseld.training.seld.recipes import read_recipe as read_seld_recipe

    path = tmp_path / "old.toml"
    path.write_text(
        'extends = "adapt"\nheld_back = 0.3\nrise = 0.2\n[loss_weights]\nanything = 2\n'
    )
    recipe = read_seld_recipe(str(path), ["average=0.5", "prior_rate=0.25"])
    assert (recipe.val_fraction, recipe.warmup_fraction, recipe.ema_decay) == (0.3, 0.2, 0.5)
    assert (recipe.loss_weights.activity, recipe.encoder_lr_factor) == (2, 0.25)
    assert len(caplog.records) == 5
    path.write_text('extends = "adapt"\nrise = 0.2\nwarmup_fraction = 0.1\n')
    with raises(RecipeError, path, place="warmup_fraction"):
        read_seld_recipe(str(path))
