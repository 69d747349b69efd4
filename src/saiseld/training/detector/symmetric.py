"""Training frames as the array's symmetries make them: channels, picture and targets together.

The channels were permuted before the front end (``saiseld features --symmetry``), so unlike a
turned acoustic image this is exactly what the array would hear of the other scene.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.utils.data import Dataset

from saiseld.conventions.symmetry import Symmetry
from saiseld.detector.targets import FrameTargets
from saiseld.training.detector.augmentation import mirror, rotate
from saiseld.training.detector.dataset import FrameDataset, Sample


class SymmetricFrames(Dataset[Sample]):
    """The same frames under several symmetries, one symmetry after the other.

    Parameters
    ----------
    variants
        Each symmetry with the frames, whose latents are of its channels.
    """

    def __init__(self, variants: Sequence[tuple[Symmetry, FrameDataset]]) -> None:
        self._variants = tuple(variants)
        self.frames = len(self._variants[0][1])
        """Frames under each symmetry."""

    def __len__(self) -> int:
        return len(self._variants) * self.frames

    def __getitem__(self, index: int) -> Sample:
        variant, frame = divmod(index, self.frames)
        symmetry, frames = self._variants[variant]
        sample = frames[frame]
        rgb, targets = apply(symmetry, sample)
        return Sample(rgb, sample.latent, targets)


def apply(symmetry: Symmetry, sample: Sample) -> tuple[Tensor, FrameTargets]:
    """Return picture and targets of the scene that a symmetry makes of a frame."""
    rgb, targets = sample.rgb, sample.targets
    if symmetry.mirrored:
        rgb, targets = mirror(rgb, targets)
    return rotate(rgb, targets, -symmetry.turn)  # to the left is towards smaller x
