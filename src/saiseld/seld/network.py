"""The SELD network: input features to class, direction and distance, ten times a second.

Three encodings of the same seconds are joined by a bidirectional recurrent layer: spectrum and
covariance of every mel band (convolutions), the steered response of four bands over the sphere (a
linear layer), and the embedding of a pretrained encoder.

Directions are never regressed. For every class, two slots each select time-frequency points (a mask
over 32 bands); the covariances under the mask are steered to all directions with the exact response
of the rigid sphere, and the map is the sum of two sharpened peaks. The network decides *what*
belongs together and physics *where* it is; two sources of one class are two slots. The map is the
probability that a class is active, times that it comes from a direction. No weight belongs to a
direction: such weights did not generalise to other rooms (docs/seld.md).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from saiseld.conventions.symmetry import Symmetry
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.seld.inputs import (
    BANDS,
    COVARIANCE,
    MELS,
    SMOOTH,
    TTA_SYMMETRIES,
    VIEW_BANDS,
    banded,
    smoothing,
    steering,
    turned_grid,
    turning,
    viewed,
    with_past,
)
from saiseld.seld.output import GRID, ROWS

SLOTS = 2
_LOG_METRE = 0.7


class Batch(NamedTuple):
    """What B windows of T frames are shown as: `saiseld.seld.inputs.Inputs`, stacked."""

    mels: Tensor
    spectrum: Tensor
    covariance: Tensor


class SeldLogits(NamedTuple):
    """Of B windows of T frames; logits, before any sigmoid.

    Parameters
    ----------
    classes
        (B, T, 14) whether a class (in the last row: anything) sounds.
    maps
        (B, T, 14, 484) whether a class (in the last row: anything) sounds from a direction.
    distance
        (B, T, 13) natural log of the metres to a class's nearest source.
    """

    classes: Tensor
    maps: Tensor
    distance: Tensor


@cache
def _steering_tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the steering of each view (views, 32, 16, P), and that of the spectrum's own view."""
    tables = [banded(steering(turned_grid(symmetry))) for symmetry in TTA_SYMMETRIES]
    return np.stack(tables), viewed(steering(GRID))


class SeldNetwork(nn.Module):
    """See the module.

    Parameters
    ----------
    encoder_channels
        Of the prior's embedding.
    width
        Of the recurrent layer, one way.
    """

    steer: Tensor
    view: Tensor

    def __init__(self, encoder_channels: int, width: int = 192) -> None:
        super().__init__()
        steer, view = _steering_tables()
        self.register_buffer("steer", torch.from_numpy(steer.copy()), persistent=False)
        self.register_buffer("view", torch.from_numpy(view.copy()), persistent=False)

        inputs = 3 + COVARIANCE
        self.norm_in = nn.BatchNorm2d(inputs)
        self.first = _block(inputs, 32)
        self.second = _block(32, 64)
        self.third = _block(64, 96)
        self.fourth = _block(96, 128)
        self.local = nn.Conv2d(64 + 96, 32, 1)
        self.of_spectrum = nn.Linear(128 * MELS // 16, 256)
        self.of_view = nn.Sequential(
            nn.Linear(VIEW_BANDS * GRID.shape[1], 192), nn.LayerNorm(192), nn.ReLU()
        )
        self.of_prior = nn.Sequential(
            nn.LayerNorm(encoder_channels),
            nn.Dropout(0.3),
            nn.Linear(encoder_channels, 256),
            nn.ReLU(),
        )
        self.joined = nn.Sequential(
            nn.LayerNorm(256 + 192 + 256), nn.Dropout(0.2), nn.Linear(256 + 192 + 256, 256)
        )
        self.over_time = nn.GRU(256, width, batch_first=True, bidirectional=True)
        both = 2 * width + 256
        self.drop = nn.Dropout(0.25)
        self.to_class = nn.Linear(both, ROWS)
        self.prior_to_class = nn.Linear(256, ROWS)
        self.to_distance = nn.Linear(both, NUM_CLASSES)
        self.to_mask = nn.Linear(both, ROWS * SLOTS * BANDS)
        self.to_query = nn.Linear(both, ROWS * SLOTS * 32)
        self.to_slot = nn.Linear(both, ROWS * SLOTS * 3)
        self.to_level = nn.Linear(both, ROWS)
        with torch.no_grad():
            for head in (self.to_mask, self.to_query, self.to_slot, self.to_level):
                head.weight.mul_(0.3)
                head.bias.zero_()
            self.to_class.bias.fill_(-2.0)
            self.to_distance.bias.fill_(_LOG_METRE)
            slot = self.to_slot.bias.view(ROWS, SLOTS, 3)
            slot[:, 1, 0] = -2.0  # the second is rarely needed
            slot[..., 1] = 4.0  # log of the sharpness
            self.to_level.bias.fill_(-2.0)

    def forward(
        self,
        features: Batch,
        embedding: Tensor,
        *,
        spectrum_kept: Tensor | None = None,
        points: Tensor | None = None,
        view: int = 0,
        last: int | None = None,
    ) -> SeldLogits:
        """Return the logits.

        Parameters
        ----------
        features
            B windows of T frames.
        embedding
            (B, T, C), of the prior.
        spectrum_kept
            (B,) 1, or 0 where the convolutions' view is not to be used (in training).
        points
            (P,) the directions of the grid to compute maps at; all without it.
        view
            Of `TTA_SYMMETRIES`: covariances are turned by it before they are looked at, and
            the maps are asked where the directions of the grid have gone. If all it learned
            were true to the array, every view would give the same.
        last
            How many frames to return, counted from the end; all without it.
        """
        covariance = turned(features.covariance, TTA_SYMMETRIES[view])
        steer = self.steer[view] if points is None else self.steer[view][..., points]
        embedded = self.of_prior(embedding)
        encoded, local = self.encode(
            features.spectrum, covariance, embedded, self.view, spectrum_kept
        )
        if last is None:
            return self.localize(encoded, local, embedded, covariance, steer)
        tail = slice(-with_past(last, len(encoded[0])), None)
        encoded, local, embedded, covariance = (
            part[:, tail] for part in (encoded, local, embedded, covariance)
        )
        logits = self.localize(encoded, local, embedded, covariance, steer)
        return SeldLogits(*(part[:, -last:] for part in logits))

    def encode(
        self,
        spectrum: Tensor,
        covariance: Tensor,
        embedded: Tensor,
        view: Tensor,
        spectrum_kept: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return features of each frame, (B, T, 640), and of its bands, (B, T, 32, 32).

        Parameters
        ----------
        spectrum, covariance
            (B, 3, T, 64) and (B, T, 64, 16), turned.
        embedded
            (B, T, 256), of `of_prior`.
        view
            (4, 256, 484), of `saiseld.seld.inputs.viewed`.
        spectrum_kept
            As in `forward`.
        """
        batch, frames = embedded.shape[:2]
        picture = torch.cat([spectrum, covariance.permute(0, 3, 1, 2)], dim=1)
        first = self.first(self.norm_in(picture))
        second = self.second(functional.max_pool2d(first, (1, 2)))
        third = self.third(functional.max_pool2d(second, (1, 2)))
        fourth = functional.max_pool2d(self.fourth(functional.max_pool2d(third, (1, 2))), (1, 2))
        local = self.local(torch.cat([second, third.repeat_interleave(2, -1)], dim=1))
        seen = self.of_spectrum(fourth.permute(0, 2, 1, 3).flatten(2))
        if spectrum_kept is not None:
            seen = seen * spectrum_kept[:, None, None]
        in_four = covariance.reshape(batch, frames, VIEW_BANDS, -1)
        response = torch.einsum("btnk,nkp->btnp", in_four, view).flatten(2)
        joined = self.joined(torch.cat([seen, self.of_view(response), embedded], dim=-1))
        encoded = self.drop(torch.cat([self.over_time(joined)[0], joined], dim=-1))
        return encoded, local.permute(0, 2, 1, 3)

    def localize(
        self, encoded: Tensor, local: Tensor, embedded: Tensor, covariance: Tensor, steer: Tensor
    ) -> SeldLogits:
        """Return the logits of frames that were encoded.

        Maps are the costly part: for a few frames it is enough to give these and those that they
        are averaged with (`with_past`).

        Parameters
        ----------
        encoded, local, embedded, covariance
            Of `encode`, and what it was given.
        steer
            (32, 16, P), of `saiseld.seld.inputs.banded`.
        """
        classes = self.to_class(encoded) + self.prior_to_class(embedded)
        where = self._where(encoded, local, covariance, steer)
        return SeldLogits(
            classes, _both(classes[..., None].float(), where), self.to_distance(encoded)
        )

    def _where(self, encoded: Tensor, local: Tensor, covariance: Tensor, steer: Tensor) -> Tensor:
        """Return (B, T, 14, P) logits of where a class sounds from, if it sounds."""
        batch, frames = encoded.shape[:2]
        rows = ROWS * SLOTS
        query = self.to_query(encoded).view(batch, frames, rows, 32)
        mask = self.to_mask(encoded).view(batch, frames, rows, BANDS)
        mask = torch.sigmoid(mask + query @ local)
        slot = self.to_slot(encoded).view(batch, frames, rows, 3)
        level = self.to_level(encoded)[..., None]
        # A peak is told from its neighbours by the third decimal: 16 bits are too few.
        with torch.autocast(encoded.device.type, enabled=False):
            steered = _steered(mask.float(), slot[..., 2:].float(), covariance, steer)
            height = steered - steered.amax(-1, keepdim=True)
            gain = slot[..., 1:2].float().clamp(max=6.5).exp()
            peaks = (slot[..., :1].float() + gain * height).view(batch, frames, ROWS, SLOTS, -1)
            where: Tensor = peaks.logsumexp(3) + level.float()
        return where


def _steered(mask: Tensor, share: Tensor, covariance: Tensor, steer: Tensor) -> Tensor:
    """Return (B, T, rows, P): the steered response under masks (B, T, rows, 32).

    ``share`` (B, T, rows, 1) is the logit of how much of it is of the shorter while.
    """
    batch, frames = mask.shape[:2]
    pairs = covariance.reshape(batch, frames, BANDS, -1, COVARIANCE).mean(3)
    # Bands are steered before rows choose among them: there are fewer of them than of both.
    each = torch.einsum("btnk,nkp->btnp", pairs, steer)
    response = mask @ each  # not yet divided by the mask's sum
    weight = mask.sum(-1)
    part = torch.sigmoid(share)
    short, long = (
        (smooth @ response.flatten(2)).view(response.shape) / (smooth @ weight + 0.1)[..., None]
        for smooth in (_to_device(smoothing(frames, size), mask.device) for size in SMOOTH)
    )
    return long + part * (short - long)


def turned(covariance: Tensor, symmetry: Symmetry) -> Tensor:
    """Return covariances (..., 16) with the channels of the other scene's recording."""
    take, sign = turning(symmetry)
    signs = _to_device(sign, covariance.device).to(covariance.dtype)
    return covariance[..., _to_device(np.array(take), covariance.device)] * signs


def _to_device(table: NDArray[Any], device: torch.device) -> Tensor:
    """Return a table on a device, which is not waited for."""
    return torch.from_numpy(table).to(device, non_blocking=True)


def frame_embeddings(embedding: Tensor, frames: int) -> Tensor:
    """Return a prior's answers (B, C, steps) at the frames: (B, frames, C)."""
    return functional.interpolate(embedding, size=frames, mode="linear").mT


def _both(one: Tensor, other: Tensor) -> Tensor:
    """Return the logit of the product of two probabilities, given as logits."""
    unlikely = functional.softplus(-one) + functional.softplus(-other)  # - log of the product
    return -unlikely - torch.log(-torch.expm1(-unlikely))


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
