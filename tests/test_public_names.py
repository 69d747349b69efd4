"""What `saiseld` itself offers: typed, small, and loaded when first used."""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

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


def test_a_name_that_moved_says_where_it_is():
    for name in ("LAM", "UpLAM", "visibility", "Detector"):
        with pytest.raises(AttributeError) as refused:
            getattr(saiseld, name)
        home = re.search(r"it is (saiseld\.\w+)\.", str(refused.value))[1]
        assert getattr(importlib.import_module(home), name)


def test_these_names_and_no_others_are_shown():
    assert dir(saiseld) == sorted([*saiseld.__all__, "__version__"])
    assert len(saiseld.__all__) < 16


def test_all_names_load_without_torch():
    program = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError(name="torch")
sys.meta_path.insert(0, Absent())
from saiseld import *
assert image and Stream and errors.AudioError
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_examples_of_public_names_run(tmp_path, monkeypatch, short_demo):
    """On a second of the packaged scene, under the names that the examples use."""
    sound, rate = soundfile.read(next(short_demo.glob("*.wav")), dtype="float32")
    for name in ("meeting", "first", "second"):
        soundfile.write(tmp_path / f"{name}.wav", sound[:rate], rate)
    (tmp_path / "meeting.mp4").symlink_to(next(short_demo.glob("*.mp4")))
    monkeypatch.chdir(tmp_path)
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for name in saiseld.__all__:
        thing = getattr(saiseld, name)
        home = importlib.import_module(getattr(thing, "__module__", thing.__name__))
        for test in finder.find(thing, name, globs=vars(home).copy()):
            runner.run(test)
    assert runner.tries > 10 and not runner.failures
