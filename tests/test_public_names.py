"""What `saiseld` itself offers: typed, small, and loaded when first used."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import saiseld

SOURCE = Path(saiseld.__file__)


@pytest.mark.parametrize("name", saiseld.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(saiseld, name).__doc__
    assert name in dir(saiseld)


def test_type_checkers_see_what_is_loaded():
    seen = re.findall(r"^    from (\S+) import (\w+) as \2$", SOURCE.read_text(), re.MULTILINE)
    assert sorted(name for _, name in seen) == sorted(saiseld.__all__)
    for module, name in seen:
        assert getattr(saiseld, name) is getattr(importlib.import_module(module), name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'imagine'"):
        saiseld.imagine  # noqa: B018


def test_nothing_is_loaded_before_it_is_used():
    program = "import sys, saiseld; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_citation_is_of_this_version():
    citation = (Path(__file__).parents[1] / "CITATION.cff").read_text()
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == saiseld.__version__
