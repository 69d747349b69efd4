import pytest
from tests.errors import raises

from saiseld.runtime.errors import RecipeError
from saiseld.runtime.recipe_files import builtin_names
from saiseld.simulation.recipes import read_recipe


def test_built_in_recipes_are_what_they_say():
    assert builtin_names("saiseld.simulation") == ("sim26", "sim26_more", "sim26_real", "tiny")
    sim26, tiny = read_recipe("sim26"), read_recipe("tiny")
    assert (sim26.train.recordings, sim26.train.rooms) == (60, 12)
    assert (sim26.test.recordings, sim26.test.rooms) == (24, 6)
    assert sim26.seconds == 30
    assert (tiny.train.rooms, tiny.test.rooms, tiny.seconds) == (3, 2, 5)
    more = read_recipe("sim26_more")
    assert more.first_room > sim26.train.rooms + sim26.test.rooms  # no room is in both
    assert tiny.rt60_s == sim26.rt60_s == (0.3, 0.7)


def test_recipe_file_extends_a_built_in_one(tmp_path):
    path = tmp_path / "dry.toml"
    path.write_text('extends = "tiny"\nrt60_s = [0.1, 0.2]\n')
    recipe = read_recipe(str(path))
    assert recipe.rt60_s == (0.1, 0.2)
    assert recipe.seconds == 5


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("echo = 3", {"place": "echo"}),
        ("seconds = -1", {"place": "seconds", "found": "1"}),
        ("rt60_s = [0.7, 0.3]", {"found": "rt60_s"}),
        ("distance_m = [0.1, 2]", {"found": "distance_m starts at 0.4"}),
        ("event_weights = [1, 2]", {"found": "event_weights needs 13"}),
        ("gap_s = []", {"found": "gap_s"}),
        ("seconds = = 3", {"expected": "TOML"}),
    ],
)
def test_bad_recipes_are_refused_by_key(tmp_path, text, fields):
    path = tmp_path / "bad.toml"
    path.write_text(f'extends = "tiny"\n{text}\n')
    with raises(RecipeError, path, **fields):
        read_recipe(str(path))


def test_unknown_recipes_are_refused(tmp_path):
    with raises(RecipeError, "sim27", expected="sim26, sim26_more, sim26_real, tiny"):
        read_recipe("sim27")
    path = tmp_path / "loop.toml"
    path.write_text('extends = "loop"')
    with raises(RecipeError, path, place="extends"):
        read_recipe(str(path))
