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
