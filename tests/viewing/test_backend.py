"""A notebook's Matplotlib backend that is not installed here stops nothing."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "matplotlib_inline_absent.backend_inline",
        pytest.param("absent_as_well", marks=pytest.mark.slow),
    ],
)
def test_a_backend_that_is_not_installed_is_dropped(module):
    program = "import saiseld.viewing.panorama, matplotlib.figure, os; print(os.environ)"
    environment = os.environ | {"MPLBACKEND": f"module://{module}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr[-500:]
    assert b"MPLBACKEND" not in done.stdout


def test_the_command_needs_no_backend(monkeypatch):
    from saiseld import __main__
    from saiseld.cli import main

    monkeypatch.setenv("MPLBACKEND", "module://absent")
    monkeypatch.setattr(main, "main", lambda: None)
    monkeypatch.setattr(__main__.signal, "signal", lambda *_: None)
    __main__.main()
    assert "MPLBACKEND" not in os.environ
