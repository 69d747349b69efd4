"""The score that weights are chosen by: sources found in scenes of other rooms and other sources.

For every frame and class the two highest peaks of the map are detections, scored by the map; one
within 20 degrees of a source of its class that no higher one has found is right. The score is the
average precision, averaged over classes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from saiseld.conventions.sphere import unit_vector
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.seld.decode import peaks, refined
from saiseld.seld.network import Batch, SeldNetwork, frame_embeddings
from saiseld.training.seld.windows import Shard, features_of, rows

FOUND_DEG = 20.0
_BATCH = 16
_APART_DEG = 25.0


class Scores(NamedTuple):
    """Of selection scenes.

    Parameters
    ----------
    mAP
        Mean over classes of the average precision.
    by_class
        (13,) average precision.
    accuracy
        Mean over classes of how often, where one source sounds, its class is thought likeliest.
    direction_deg
        Median error of the highest peak of the map of the true class, where one source sounds.
    """

    mAP: float
    by_class: NDArray[np.float64]
    accuracy: float
    direction_deg: float


@torch.inference_mode()
def score(network: SeldNetwork, scenes: Shard) -> Scores:
    """Measure a network."""
    network.eval()
    device = network.steer.device
    values: list[list[NDArray[np.float64]]] = [[] for _ in range(NUM_CLASSES)]
    right: list[list[NDArray[np.bool_]]] = [[] for _ in range(NUM_CLASSES)]
    count = np.zeros(NUM_CLASSES)
    single: list[tuple[int, bool, float]] = []
    for first in range(0, len(scenes["class_id"]), _BATCH):
        part = rows(scenes, range(first, min(first + _BATCH, len(scenes["class_id"]))))
        given = Batch(*(feature.to(device) for feature in features_of(part)))
        frames = given.covariance.shape[1]
        embedded = frame_embeddings(part["embedding"].float().to(device), frames)
        maps = network(given, embedded).maps[:, :, :NUM_CLASSES].float().cpu().numpy()
        found = peaks(maps, 2, _APART_DEG)
        for window in range(len(maps)):
            classes = part["class_id"][window].numpy()
            active = part["active"][window].numpy() & (classes >= 0)[:, None]
            where = unit_vector(part["azimuth"][window].numpy(), part["elevation"][window].numpy())
            for class_id in range(NUM_CLASSES):
                mine = active & (classes == class_id)[:, None]
                count[class_id] += mine.sum()
                point = found.point[window, :, class_id]
                value = found.value[window, :, class_id]
                refined_to = refined(
                    np.repeat(maps[window, :, class_id], 2, axis=0), point.reshape(-1)
                ).reshape(frames, 2, 3)
                near = np.einsum("tkx,ntx->tkn", refined_to, where)
                near = np.where(mine.T[:, None, :], near, -1.0)
                good = _matched(near)
                values[class_id].append(value.reshape(-1).astype(float))
                right[class_id].append(good.reshape(-1))
            for frame in np.flatnonzero(active.sum(0) == 1):
                track = int(active[:, frame].argmax())
                true = int(classes[track])
                best = int(maps[window, frame].max(-1).argmax())
                towards = refined(
                    maps[window, frame, true][None], found.point[window, frame, true, :1]
                )[0]
                cosine = float(np.clip(towards @ where[track, frame], -1, 1))
                single.append((true, best == true, float(np.degrees(np.arccos(cosine)))))
    each = np.array(
        [
            average_precision(np.concatenate(values[c]), np.concatenate(right[c]), count[c])
            for c in range(NUM_CLASSES)
        ]
    )
    of_class = [[hit for true, hit, _ in single if true == c] for c in range(NUM_CLASSES)]
    return Scores(
        float(np.nanmean(each)) if count.any() else 0.0,
        each,
        float(np.mean([np.mean(hits) for hits in of_class if hits])) if single else math.nan,
        float(np.median([error for _, _, error in single])) if single else math.nan,
    )


def _matched(near: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (T, K) which detections find a source, given cosines (T, K, N); -1 is none."""
    near = near.copy()
    every = np.arange(len(near))
    good = np.zeros(near.shape[:2], bool)
    for detection in range(near.shape[1]):
        source = near[:, detection].argmax(1)
        good[:, detection] = near[every, detection, source] > np.cos(np.radians(FOUND_DEG))
        near[every[good[:, detection]], :, source[good[:, detection]]] = -1.0
    return good


def average_precision(value: NDArray[np.float64], right: NDArray[np.bool_], count: float) -> float:
    """Return the area under the precision, made monotonous, of detections and ``count`` sources."""
    if not count:
        return float("nan")
    hit = right[np.argsort(-value, kind="stable")]
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((precision * hit).sum() / count)
