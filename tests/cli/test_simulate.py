"""``saiseld simulate`` goes on with a tree, and names what is wrong."""

MICRO = """
extends = "tiny"
seconds = 1
gap_s = [0.1, 0.5, 0.5]
train = { recordings = 1, rooms = 1 }
test = { recordings = 1, rooms = 1 }
"""


def test_goes_on_with_a_tree_and_refuses_unknown_recipes(tmp_path, saiseld) -> None:
    recipe, tree = tmp_path / "micro.toml", tmp_path / "tree"
    recipe.write_text(MICRO)
    command = ("simulate", "-o", tree, "--recipe", recipe, "--seed", 7)
    code, told = saiseld(*command)
    assert code == 0 and "2 recordings made, 0 there before" in told
    code, told = saiseld(*command)
    assert code == 0 and "0 recordings made, 2 there before" in told
    code, told = saiseld("simulate", "-o", tree, "--recipe", "sim27")
    assert code == 2 and "sim27: expected a built-in recipe (sim26, sim26_more" in told
