"""What the ear is shown, as its network was first trained on it: in torch, step by step."""

from __future__ import annotations

import torch
from torch import Tensor

from saiseld.conventions.timebase import SAMPLES_PER_FRAME
from saiseld.seld.inputs import FFT, HOP, HOPS_PER_FRAME, MELS, WINDOW, mel_weights, whitening

PAIRS = [(i, j) for i in range(4) for j in range(i + 1, 4)]


def inputs(audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mels (10 T, 64), spectrum (3, T, 64) and covariance (T, 64, 16) of audio (4, N)."""
    frames = audio.shape[1] // SAMPLES_PER_FRAME
    audio = audio * 0.05 / (audio.square().mean() + 2e-5**2).sqrt()
    spectra = torch.stft(
        audio, FFT, HOP, WINDOW, torch.hann_window(WINDOW), pad_mode="constant", return_complex=True
    )[..., : frames * HOPS_PER_FRAME]
    weights = torch.tensor(mel_weights(), dtype=torch.float32)
    power = spectra.abs().square()
    mels = torch.log(power.mean(0).sqrt().mT @ weights / 1.5 + 1e-3)
    band_power = power.mT @ weights
    loud = band_power.sum(0)
    onset = torch.zeros_like(loud)
    for step in range(len(loud)):
        before = loud[max(step - 8, 0) : step].sum(0) / 8
        onset[step] = ((loud[step] - before) / loud[step].clamp(min=1e-12)).clamp(min=0)
    products = torch.einsum("ift,jft->tfij", spectra, spectra.conj())
    banded = torch.einsum("tfij,fm->tmij", products, weights.to(products.dtype))
    weighted = banded * (0.05 + onset)[..., None, None]
    pooled = weighted.reshape(frames, HOPS_PER_FRAME, MELS, 4, 4).sum(1)
    white = torch.tensor(whitening(), dtype=torch.complex64)
    matrix = torch.einsum("mik,tmkl,mjl->tmij", white, pooled, white.conj())
    diagonal = matrix.diagonal(dim1=-2, dim2=-1).real
    upper = torch.stack([matrix[..., i, j] for i, j in PAIRS], dim=-1)
    covariance = torch.cat([diagonal, upper.real, upper.imag], dim=-1)
    covariance = covariance / diagonal.sum(-1, keepdim=True).clamp(min=1e-12)
    in_frames = (frames, HOPS_PER_FRAME, MELS)
    of_onsets = (loud * onset).reshape(in_frames).sum(1) / loud.reshape(in_frames).sum(1)
    by_frame = mels.reshape(in_frames)
    return mels, torch.stack([by_frame.mean(1), by_frame.amax(1), of_onsets]), covariance
