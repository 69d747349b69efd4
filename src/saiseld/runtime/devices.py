"""What the networks run on: a GPU by torch where there is one, or the CPU."""

from __future__ import annotations

import ctypes
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from saiseld.runtime.errors import DeviceError

Device = Literal["cpu", "cuda", "mps"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]

_MISSING = "Use auto or cpu"


def device_of(requested: DeviceName) -> Device:
    """Return the device that is asked for; ``auto`` takes a GPU where torch finds one.

    Raises
    ------
    DeviceError
        If it is not there, naming what is.
    """
    if requested == "cpu":
        return requested
    there = gpus()
    if requested == "auto":
        return there[0] if there else "cpu"
    if requested not in there:
        found = ", ".join(["cpu", *there])
        advice = _MISSING if has_torch() else "GPUs need torch: pip install 'saiseld[train]'"
        raise DeviceError("device", expected=requested, found=f"only {found}", advice=advice)
    return requested


def has_torch() -> bool:
    """Return whether torch is installed; the packaged system images without it."""
    return find_spec("torch") is not None


def gpus() -> list[Device]:
    """Return the kinds of GPU that torch finds here.

    Importing torch takes seconds: it is asked only where a GPU's driver is installed.
    """
    if not has_torch() or not ("torch" in sys.modules or _has_driver()):
        return []
    import torch

    there: list[Device] = []
    if torch.cuda.is_available():
        there.append("cuda")
    if torch.backends.mps.is_available():
        there.append("mps")
    return there


def _has_driver() -> bool:
    """Return whether a GPU may be there; certain only where it is False."""
    if sys.platform != "linux" or Path("/dev/kfd").exists():  # the latter: AMD's
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
