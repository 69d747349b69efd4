"""How well acoustic images tell directions, in simulated rooms that no training has seen.

Rooms have RT60 0.3-0.7 s, sources are steady noise 0.5-4 m away, microphones have noise 15 dB
below. Unlike the training covariances these go through the time domain, impulse responses and all.
A frame's image is the mean over its bands; peaks are those of `saiseld.training.uplam.peaks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from saiseld.acoustics.covariance import band_frequencies, visibility
from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, RigidSphereArray, rigid_sphere_response
from saiseld.conventions.sphere import fibonacci_sphere
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.labels.sparse_imaging import sparse_image
from saiseld.simulation.rooms.room import Room
from saiseld.training.uplam.peaks import APART_DEG, image_errors

FRAMES_PER_ROOM = 3
RT60_S = (0.3, 0.7)
SNR_DB = 15.0

FloatArray = NDArray[np.float64]
Method = Callable[[FloatArray], FloatArray]
"""From 32-channel audio (samples, 32) of whole frames to images (frames, bands, 484)."""


@dataclass(frozen=True, slots=True)
class RoomSound:
    """What the em32 hears in one room.

    Parameters
    ----------
    audio
        (`FRAMES_PER_ROOM` x 2400, 32).
    directions
        (sources, 3) unit vectors.
    """

    audio: FloatArray
    directions: FloatArray


def draw_room(sources: int, rng: np.random.Generator) -> RoomSound:
    """Draw a room with steady noise sources of equal level."""
    room = Room(tuple(rng.uniform((4, 3.5, 2.5), (9, 7, 3.5))), rng.uniform(*RT60_S))
    receiver = rng.uniform((1, 1, 1), np.array(room.size_m) - (1, 1, 1))
    array = RigidSphereArray(eigenmike_xyz())
    directions: list[FloatArray] = []
    # Half a second of reverberation builds up before the frames begin.
    samples, begin = FRAMES_PER_ROOM * SAMPLES_PER_FRAME, SAMPLE_RATE // 2
    recorded = np.zeros((samples, array.channels))
    while len(directions) < sources:
        position = rng.uniform(0.2, np.array(room.size_m) - 0.2)
        distance = float(np.linalg.norm(position - receiver))
        direction = (position - receiver) / distance
        near = any(direction @ other > np.cos(np.radians(APART_DEG)) for other in directions)
        if not 0.5 <= distance <= 4 or near:
            continue
        directions.append(direction)
        early = room.early_response(position, receiver, array)
        response = room.diffuse_tail(array, rng)
        response[:, : early.shape[1]] += early
        noise = rng.standard_normal(begin + samples + response.shape[1])
        wet = fftconvolve(noise[None], response, axes=1)[:, begin : begin + samples].T
        recorded += wet / wet.std()
    recorded += np.std(recorded) * 10 ** (-SNR_DB / 20) * rng.standard_normal(recorded.shape)
    return RoomSound(recorded, np.stack(directions))


def direction_errors(method: Method, rooms: Sequence[RoomSound]) -> FloatArray:
    """Return a method's (frames x sources,) errors in degrees (`image_errors`)."""
    errors = []
    for room in rooms:
        images = method(room.audio).mean(axis=1)
        errors.append(image_errors(images, [room.directions] * len(images)))
    return np.concatenate(errors)


def model_method(model: torch.nn.Module, channels: Sequence[int] | slice) -> Method:
    """Return the method of a LAM or UpLAM that hears some of the capsules."""

    def images(audio: FloatArray) -> FloatArray:
        covariance = visibility(audio[:, channels], dtype=np.complex64)
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(covariance)).numpy(), float)

    return images


def steered_method(rigid: bool, channels: Sequence[int] | slice) -> Method:
    """Return the steered-response map of some capsules, each band with its own frequency.

    Parameters
    ----------
    rigid
        Steer with the response of the rigid sphere, or else of the free field.
    channels
        The capsules.
    """
    wave_number = 2 * np.pi * band_frequencies() / SPEED_OF_SOUND
    distance = (eigenmike_xyz() @ fibonacci_sphere())[channels]
    if rigid:
        response = rigid_sphere_response(wave_number * RADIUS_M, distance / RADIUS_M)
    else:
        response = np.exp(1j * wave_number[:, None, None] * distance)
    steer = response / np.linalg.norm(response, axis=1, keepdims=True)

    def images(audio: FloatArray) -> FloatArray:
        beams = visibility(audio[:, channels]).swapaxes(-1, -2) @ steer
        return np.asarray(np.einsum("bip,nbip->nbp", steer.conj(), beams).real)

    return images


def table(methods: dict[str, Method], rooms: int, seed: int) -> str:
    """Return a Markdown table of direction errors with one and two sources.

    Parameters
    ----------
    methods
        By name.
    rooms
        Unseen rooms per number of sources.
    seed
        They are drawn from.
    """
    lines = [
        "| image of | 1 source: median | mean | within 10° "
        "| 2 sources: median | mean | within 10° |",
        "|---|---|---|---|---|---|---|",
    ]
    rng = np.random.default_rng(seed)
    drawn = {count: [draw_room(count, rng) for _ in range(rooms)] for count in (1, 2)}
    for name, method in methods.items():
        cells = []
        for sounds in drawn.values():
            errors = direction_errors(method, sounds)
            cells.append(
                f"{np.median(errors):.1f}° | {errors.mean():.1f}° | {np.mean(errors < 10):.0%}"
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def usual_methods(uplam: torch.nn.Module, lam: torch.nn.Module) -> dict[str, Method]:
    """Return the methods that UpLAM is compared with, and itself."""
    four, every = list(TETRAHEDRON), slice(None)
    return {
        "32 channels, APGD (the labels')": sparse_image,
        "32 channels, LAM": model_method(lam, every),
        "32 channels, steered response, rigid sphere": steered_method(True, every),
        "4 channels, UpLAM": model_method(uplam, four),
        "4 channels, steered response, rigid sphere": steered_method(True, four),
        "4 channels, steered response, free field": steered_method(False, four),
    }
