import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.errors import raises

from saiseld.runtime import devices
from saiseld.runtime.devices import device_of
from saiseld.runtime.errors import DeviceError


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch):
    """Let torch find these GPUs."""

    def there(*names: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return there


def test_auto_takes_a_gpu_where_there_is_one(gpus) -> None:
    gpus()
    assert device_of("auto") == device_of("cpu") == "cpu"
    gpus("mps")
    assert device_of("auto") == device_of("mps") == "mps"
    gpus("cuda", "mps")
    assert (device_of("auto"), device_of("mps"), device_of("cpu")) == ("cuda", "mps", "cpu")


def test_a_device_that_is_not_there_is_named(gpus, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus("mps")
    with raises(DeviceError, expected="cuda", found="only cpu, mps", advice="Use auto"):
        device_of("cuda")
    monkeypatch.setattr(devices, "has_torch", lambda: False)
    assert device_of("auto") == "cpu"
    with raises(DeviceError, found="only cpu", advice="GPUs need torch: pip install"):
        device_of("cuda")


TORCH = """
class cuda:
    is_available = staticmethod(lambda: True)

class backends:
    class mps:
        is_available = staticmethod(lambda: False)
"""
PROGRAM = """
import ctypes, sys
from pathlib import Path
from saiseld.runtime.devices import device_of

def missing(name):
    raise OSError(name)

Path.exists = lambda path: False
for ctypes.CDLL in (missing, str):
    print(device_of("auto"), "torch" in sys.modules)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch is asked")
def test_torch_is_imported_only_where_a_driver_is(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(TORCH)
    own = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    told = subprocess.check_output([sys.executable, "-c", PROGRAM], env=own, text=True)
    assert told.split() == ["cpu", "False", "cuda", "True"]
