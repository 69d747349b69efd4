"""Where UpLAM's training starts: at the 4-channel steered response of the rigid sphere.

The upsampler begins by carrying every entry of the 4 x 4 covariance to the entry of its capsules in
the 32 x 32 one, exactly, with zeros in between. With the array's own response as LAM's D, the image
is then the steered response of the four capsules; training can only add to that.

Eighteen of the network's 32 channels carry the nine bands, each as z and -z: with a slope a,
``prelu(z) - prelu(-z) = (1 + a) z`` loses nothing. The others start at random and reach the output
as they learn to.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from saiseld.acoustics.covariance import band_frequencies
from saiseld.acoustics.uplam import BackProjection, UpLAM
from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.bands import BANDS
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, rigid_sphere_response
from saiseld.conventions.sphere import fibonacci_sphere

_CARRIERS = 2 * BANDS
_TAP = 2
"""Tap of a kernel with stride 8 and padding 2 that meets the first cell of a block."""


def carry_over(model: UpLAM) -> None:
    """Set a model's weights so that its image is the steered response of the four capsules."""
    with torch.no_grad():
        model.lam.D.copy_(rigid_beams()[:, lift_order()])
        for part in ("rel", "imag"):
            _carry_path(model.cdbpn, part)


def lift_order() -> NDArray[np.int64]:
    """Return the capsule order (32,) in which the upsampler predicts covariances.

    LAM does not mind the order of capsules that its D is in, but the upsampler does: it makes 8 x 8
    blocks of its output alike from single entries of its input. The em32 looks the same after half
    a turn about x, y or z, and these turns take the first of the four input capsules to the others.
    So block i holds the eight capsules around the first one, nearest first, turned to the i-th.
    """
    capsules = eigenmike_xyz() / RADIUS_M
    half_turns = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    turned = np.argmax(half_turns[:, None] * capsules @ capsules.T, axis=-1)  # (4, 32)
    nearest_first = np.argsort(-capsules @ capsules[TETRAHEDRON[0]], kind="stable")
    _, first = np.unique(turned[:, nearest_first].min(axis=0), return_index=True)
    return np.asarray(turned[:, nearest_first[np.sort(first)]].ravel())


def rigid_beams() -> Tensor:
    """Return the array's response (9, 32, 484) complex64, of power 4 over the four capsules."""
    ka = 2 * np.pi * band_frequencies() * RADIUS_M / SPEED_OF_SOUND
    beams = rigid_sphere_response(ka, eigenmike_xyz() @ fibonacci_sphere() / RADIUS_M).conj()
    power = np.mean(np.abs(beams[:, list(TETRAHEDRON)]) ** 2, axis=1, keepdims=True)
    return torch.from_numpy((beams / np.sqrt(power)).astype(np.complex64))


def _carry_path(lift: BackProjection, part: str) -> None:
    def layer(name: str) -> nn.Module:
        return lift.get_submodule(name.format(part))

    gain = 1 / (1 + layer("feat0_{}.act").get_parameter("weight").item())
    _carry(layer("feat0_{}.conv"), tap=1, gain=1.0, paired_input=False)
    _carry(layer("feat1_{}.conv"), tap=0, gain=gain)
    for block, kinds in (
        ("up1_{}.up", ("deconv", "conv", "deconv")),
        ("down1_{}.down", ("conv", "deconv", "conv")),
        ("up2_{}.up", ("deconv", "conv", "deconv")),
    ):
        for index, kind in enumerate(kinds, start=1):
            _carry(layer(f"{block}_conv{index}.{kind}"), tap=_TAP, gain=gain)
    output = layer("output_conv_{}.conv")
    weight, bias = output.get_parameter("weight"), output.get_parameter("bias")
    weight.zero_()
    bias.zero_()
    for first in (0, weight.shape[1] // 2):  # the mean of up2 and up1, which agree
        for band in range(BANDS):
            weight[band, first + 2 * band, 1, 1] = gain / 2
            weight[band, first + 2 * band + 1, 1, 1] = -gain / 2


def _carry(convolution: nn.Module, *, tap: int, gain: float, paired_input: bool = True) -> None:
    """Let output channels 2 b and 2 b + 1 be plus and minus band b, taken from one tap."""
    weight, bias = convolution.get_parameter("weight"), convolution.get_parameter("bias")
    # (out, in, k, k); a transposed convolution stores (in, out, k, k).
    matrix = weight.transpose(0, 1) if isinstance(convolution, nn.ConvTranspose2d) else weight
    matrix[:_CARRIERS] = 0
    bias[:_CARRIERS] = 0
    for band in range(BANDS):
        for row, sign in ((2 * band, gain), (2 * band + 1, -gain)):
            if paired_input:
                matrix[row, 2 * band, tap, tap] = sign
                matrix[row, 2 * band + 1, tap, tap] = -sign
            else:
                matrix[row, band, tap, tap] = sign
