"""From sound to acoustic images: band covariances and the latent maps made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from saiseld.acoustics.covariance import visibility

if TYPE_CHECKING:
    from saiseld.acoustics.lam import LAM
    from saiseld.acoustics.uplam import UpLAM

__all__ = ["LAM", "UpLAM", "visibility"]


def __getattr__(name: str) -> Any:
    # The models need torch, which label making and scoring do not: loaded when first asked for.
    if name == "LAM":
        from saiseld.acoustics.lam import LAM

        return LAM
    if name == "UpLAM":
        from saiseld.acoustics.uplam import UpLAM

        return UpLAM
    raise AttributeError(f"module 'saiseld.acoustics' has no attribute {name!r}")
