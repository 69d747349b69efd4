"""What every training loop does with the numbers of a step."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from saiseld.runtime.errors import RecipeError

_log = logging.getLogger(__name__)


def read(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the numbers of a step in one read.

    A GPU works on while it is told what comes next, until it is asked for a number: so all are
    asked for together, at the end of a step.
    """
    together = torch.stack([value.detach() for value in values.values()])
    return dict(zip(values, together.tolist(), strict=True))


def usable_precision(precision: str, device: torch.device) -> str:
    """Return a recipe's precision, or full precision where the processor has no other.

    A CPU without bfloat16 arithmetic computes in it all the same, five times slower than in full
    precision.
    """
    if precision == "no" or device.type != "cpu":
        return precision
    if precision == "bf16" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return precision
    _log.info("no %s on this processor: training in full precision", precision)
    return "no"


def check_finite(values: Mapping[str, float], state: Path, place: str) -> None:
    """Raise ``RecipeError`` where a number of a step is not finite.

    Parameters
    ----------
    values
        By name.
    state
        File of the run's last saved state.
    place
        Which step it was.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise RecipeError(
                state.parent,
                place=f"{place}, {name}",
                expected="a finite number",
                found=str(value),
                advice=f"The last good state is in {state.name}; try a lower learning rate",
            )
