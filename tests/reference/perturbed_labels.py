"""Candidates whose truth is known: labels, and detections made from them by known errors."""

import numpy as np

from saiseld.conventions.sphere import angles_of_pixel, pixel_of_angles, wrap_azimuth
from saiseld.formats.annotation import EnergyMask, write_annotations
from saiseld.formats.candidates import MAP_SIZE, Candidates, write_candidates

RADIUS, SIGMA = 19.0, 10.0


def perturbed(seed, recording, *, frames=60, events=2):
    """Return (candidates, labels) of one made-up recording.

    Every frame has its events found faintly (3 degrees off), each with a confident duplicate some
    15 degrees off and a confident wrong class, and two detections of background. The errors have
    flat, noisy maps and odd boxes.
    """
    rng, class_id, azimuth, elevation, labels = scene(seed, frames, events)
    rows = []
    for frame in range(frames):
        for k in range(events):
            right = int(class_id[k])
            wrong = int(rng.choice(np.setdiff1d(np.arange(13), class_id)))
            found = azimuth[k] + rng.normal(0, 3), elevation[k] + rng.normal(0, 3)
            turn = rng.uniform(0, 2 * np.pi)
            beside = azimuth[k] + 15 * np.cos(turn), elevation[k] + 15 * np.sin(turn)
            rows.append((frame, right, rng.uniform(0.05, 0.5), *found, True))
            rows.append((frame, right, rng.uniform(0.2, 0.9), *beside, False))
            rows.append((frame, wrong, rng.uniform(0.2, 0.9), *found, False))
        for _ in range(2):
            anywhere = rng.uniform(-180, 180), rng.uniform(-60, 60)
            rows.append((frame, int(rng.integers(13)), rng.uniform(0.05, 0.6), *anywhere, False))
    return table_of(rng, recording, frames, rows), labels


def pure_noise(seed, recording, *, frames=60, events=2):
    """Return (candidates, labels) where one detection in three is right and no feature knows which.

    One detection an event and frame, at the event or 40 degrees beside it; its score is chance.
    """
    rng, class_id, azimuth, elevation, labels = scene(seed, frames, events)
    rows = []
    for frame in range(frames):
        for k in range(events):
            off = 0 if rng.random() < 1 / 3 else 40 / np.cos(np.radians(elevation[k]))
            rows.append(
                (frame, int(class_id[k]), rng.random(), azimuth[k] + off, elevation[k], True)
            )
    return table_of(rng, recording, frames, rows), labels


def scene(seed, frames, events):
    rng = np.random.default_rng(seed)
    class_id = rng.choice(13, events, replace=False)
    azimuth, elevation = rng.uniform(-180, 180, events), rng.uniform(-40, 40, events)
    labels = [
        label(frame, k, class_id[k], azimuth[k], elevation[k])
        for frame in range(frames)
        for k in range(events)
    ]
    return rng, class_id, azimuth, elevation, labels


def label(frame, instance_id, class_id, azimuth, elevation, step=3):
    """Return a label like the public ones: a Gaussian of 10 degrees on a lattice, cut at 19."""
    x, y = (c.ravel() for c in np.meshgrid(np.arange(0, 360, step), np.arange(0, 180, step)))
    energy = blob(*angles_of_pixel(x, y), azimuth, elevation)
    points = np.stack([x, y, energy], axis=1)[energy > 0]
    return EnergyMask(frame, instance_id, int(class_id), (points,), distance_cm=150.0)


def blob(at_azimuth, at_elevation, azimuth, elevation, sigma=SIGMA):
    across = np.cos(np.radians(elevation)) * wrap_azimuth(at_azimuth - azimuth)
    squared = (at_elevation - elevation) ** 2 + across**2
    return np.where(squared <= RADIUS**2, np.exp(-squared / (2 * sigma**2)), 0)


def table_of(rng, recording, frames, rows):
    frame, class_id, score, azimuth, elevation, right = (
        np.array(c) for c in zip(*rows, strict=True)
    )
    reach = np.stack([RADIUS / np.cos(np.radians(elevation)), np.full(len(rows), RADIUS)], axis=1)
    reach[~right] *= rng.uniform(0.6, 1.2, ((~right).sum(), 2))
    centre = np.stack(pixel_of_angles(azimuth, np.clip(elevation, -85, 85)), axis=1)
    box = np.concatenate([centre - reach, centre + reach], axis=1)
    box[:, 1::2] = np.clip(box[:, 1::2], 0, 180)
    cell = (np.arange(MAP_SIZE) + 0.5) / MAP_SIZE * 2 - 1
    squared = (cell[:, None] ** 2 + cell**2) * RADIUS**2
    maps = np.where(squared <= RADIUS**2, np.exp(-squared / (2 * SIGMA**2)), 0)
    maps = np.repeat(maps[None], len(rows), axis=0)
    noise = rng.uniform(0.2, 0.8, maps.shape)
    maps[~right] = 0.4 * maps[~right] + 0.6 * noise[~right]
    zeros = np.zeros(len(rows), np.float32)
    return Candidates(
        recording=recording,
        frames=frames,
        frame=frame.astype(np.int32),
        class_id=class_id.astype(np.int8),
        score=score.astype(np.float32),
        box=box.astype(np.float32),
        azimuth=np.asarray(wrap_azimuth(azimuth), np.float32),
        elevation=elevation.astype(np.float32),
        distance_cm=np.full(len(rows), 150, np.float32),
        has_map=np.ones(len(rows), bool),
        energy_map=maps.astype(np.float16),
        closure=zeros,
        diffuseness=zeros,
        matchability=np.full(len(rows), np.nan, np.float32),
    )


def write_tree(folder, make, rooms=3, **options):
    """Write candidates and labels of a recording in each room, as a tree; return its folder."""
    for room in range(rooms):
        name = f"fold4_room{room}_mix001"
        table, labels = make(room, name, **options)
        write_candidates(folder / "candidates" / f"{name}.candidates.parquet", table)
        write_annotations(folder / "labels_dev" / "dev-test-sim" / f"{name}_std.json", labels)
    return folder
