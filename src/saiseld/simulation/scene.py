"""One simulated recording before it is rendered: room, array, sources, who sounds when.

Positions are metres relative to the array unless named otherwise, in the axes of
`saiseld.conventions.sphere`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saiseld.conventions.sphere import angles_of_vector, unit_vector, wrap_azimuth
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.formats.events import Event as FrameEvent
from saiseld.simulation.recipes import Recipe
from saiseld.simulation.rooms.room import Room, Shoebox
from saiseld.simulation.rooms.walls import furnish
from saiseld.simulation.sounds.bank import Half, Signal, SoundBank
from saiseld.simulation.timelines import Timelines, Track, tracks

FloatArray = NDArray[np.float64]

PEOPLE = frozenset({0, 1, 2, 4, 6})
"""Classes made by a person, who may walk."""
ON_WALLS = frozenset({7, 12})
"""Doors, and knocks on them."""

SOURCE_HEIGHT_M: tuple[tuple[float, float], ...] = (
    (1.15, 1.70),
    (1.20, 1.80),
    (1.05, 1.40),
    (0.70, 1.10),
    (1.15, 1.75),
    (0.15, 1.10),
    (0.05, 0.06),
    (0.95, 1.05),
    (0.30, 2.10),
    (0.75, 1.30),
    (0.95, 1.10),
    (0.80, 1.90),
    (1.20, 1.45),
)
"""Height above the floor at which each class sounds: mouth, hands, feet, loudspeaker..."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that can be seen, and may sound.

    Parameters
    ----------
    source_id, class_id
        Number in the recording; class of `saiseld.conventions.taxonomy`.
    seed
        Its voice and its looks.
    azimuth_deg, range_m, up_m
        Resting place: azimuth, horizontal distance, height relative to the array.
    swing_deg, period_s, phase
        It walks ``swing_deg * sin(2 pi t / period_s + phase)`` of azimuth to and fro.
    """

    source_id: int
    class_id: int
    seed: int
    azimuth_deg: float
    range_m: float
    up_m: float
    swing_deg: float = 0.0
    period_s: float = 20.0
    phase: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether it walks."""
        return self.swing_deg != 0

    def position(self, time_s: ArrayLike) -> FloatArray:
        """Return positions (..., 3) in metres at times in seconds."""
        turn = np.sin(2 * np.pi * np.asarray(time_s, float) / self.period_s + self.phase)
        flat = unit_vector(self.azimuth_deg + self.swing_deg * turn, np.zeros_like(turn))
        return np.asarray(self.range_m * flat + np.array([0.0, 0.0, self.up_m]))


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedSource(Source):
    """A source that is where a timeline says, in the nearest frame that says it.

    Parameters
    ----------
    track_frames
        (F,) frames of the timeline, in order.
    track_m
        (F, 3) positions in them; one position, over and over, of a source that stands.
    """

    track_frames: NDArray[np.int64] = field(kw_only=True)
    track_m: FloatArray = field(kw_only=True)

    @property
    def moves(self) -> bool:
        """Whether it has more than one position."""
        return bool(np.any(self.track_m != self.track_m[0]))

    def position(self, time_s: ArrayLike) -> FloatArray:
        """Return positions (..., 3) in metres at times in seconds."""
        middle = (self.track_frames[1:] + self.track_frames[:-1]) / 2
        frame = np.asarray(time_s, float) * FPS - 0.5
        return np.asarray(self.track_m[np.searchsorted(middle, frame)])


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A source sounding: ``signal`` is heard at 1 m from sample ``start`` on."""

    source: Source
    start: int
    signal: Signal

    @property
    def frames(self) -> range:
        """The frames at least half filled by the sound."""
        first = round(self.start / SAMPLES_PER_FRAME)
        last = round((self.start + len(self.signal)) / SAMPLES_PER_FRAME)
        return range(first, max(last, first + 1))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A recording to render; ``array_m`` is the array's place in the room's own coordinates."""

    name: str
    room: Shoebox
    room_seed: int
    array_m: tuple[float, float, float]
    sources: tuple[Source, ...]
    sounds: tuple[Sound, ...]
    samples: int
    snr_db: float
    peak: float
    seed: int

    @property
    def frames(self) -> int:
        """Whole frames."""
        return self.samples // SAMPLES_PER_FRAME

    def frame_events(self) -> list[FrameEvent]:
        """Return the rows of the STARSS23 CSV, by frame: whole degrees and centimetres."""
        rows = set()
        for sound in self.sounds:
            source = sound.source
            for frame in sound.frames:
                if frame < self.frames:
                    place = source.position((frame + 0.5) / FPS)
                    azimuth, elevation = (round(float(angle)) for angle in angles_of_vector(place))
                    rows.add(
                        FrameEvent(
                            frame=frame,
                            class_id=source.class_id,
                            source=source.source_id,
                            azimuth=float(wrap_azimuth(azimuth)),
                            elevation=float(elevation),
                            distance_cm=float(round(100 * np.linalg.norm(place))),
                        )
                    )
        return sorted(rows)


def generator(seed: int, name: str) -> np.random.Generator:
    """Return the generator of a named thing: order, jobs and resuming cannot change its numbers."""
    return np.random.default_rng([seed, crc32(name.encode())])


def plan_room(recipe: Recipe, seed: int, room: int) -> tuple[Shoebox, int]:
    """Return a room and the seed of its looks."""
    rng = generator(seed, f"room{room}")
    size = (
        float(rng.uniform(*recipe.room_length_m)),
        float(rng.uniform(*recipe.room_width_m)),
        float(rng.uniform(*recipe.room_height_m)),
    )
    liveliness = tuple(float(v) for v in rng.uniform(0.5, 1.5, 6))
    rt60 = float(rng.uniform(*recipe.rt60_s))
    if recipe.walls == "materials":
        return furnish(size, rt60, rng, roughness_m=0.03), int(rng.integers(2**31))
    return Room(size, rt60, liveliness), int(rng.integers(2**31))


def plan_scene(
    recipe: Recipe,
    bank: SoundBank,
    seed: int,
    *,
    name: str,
    room: int,
    split: Half,
    index: int,
    timelines: Timelines | None = None,
) -> Scene:
    """Plan a recording.

    Parameters
    ----------
    name, room, split
        Of the recording; the room decides dimensions, reverberation and looks.
    index
        Number of the recording in its split: its first two events are of classes dealt by it, so
        that every class is in every split of 13 recordings or more.
    timelines
        Who sounds when and where, to replay instead of what the recipe says of events and moving.
    """
    shoebox, room_seed = plan_room(recipe, seed, room)
    rng = generator(seed, name)
    length, width, _ = shoebox.size_m
    array = (
        float(rng.uniform(0.42, 0.58) * length),
        float(rng.uniform(0.42, 0.58) * width),
        float(rng.uniform(1.2, 1.6)),
    )
    planner = _Planner(recipe, shoebox, np.array(array), bank, split, rng)
    if timelines is not None:
        planner.replay(tracks(timelines.draw(split, index, int(recipe.seconds * FPS), rng)))
    else:
        sounding = np.flatnonzero(recipe.event_weights).tolist()
        dealt = [sounding[turn % len(sounding)] for turn in (index, 5 * index + 6)]
        for gap in recipe.gap_s:
            planner.fill_layer(gap, dealt)
    for _ in range(int(rng.integers(recipe.silent_objects[0], recipe.silent_objects[1] + 1))):
        planner.new_source(int(rng.integers(NUM_CLASSES)))
    return Scene(
        name=name,
        room=shoebox,
        room_seed=room_seed,
        array_m=array,
        sources=tuple(planner.sources),
        sounds=tuple(sorted(planner.sounds, key=lambda sound: sound.start)),
        samples=int(recipe.seconds * SAMPLE_RATE),
        snr_db=float(rng.uniform(*recipe.snr_db)),
        peak=float(rng.uniform(0.3, 0.9)),
        seed=int(rng.integers(2**31)),
    )


class _Planner:
    SHORTEST_S = 0.6

    def __init__(
        self,
        recipe: Recipe,
        room: Shoebox,
        array: FloatArray,
        bank: SoundBank,
        split: Half,
        rng: np.random.Generator,
    ) -> None:
        self.recipe, self.room, self.array = recipe, room, array
        self.bank, self.split, self.rng = bank, split, rng
        self.sources: list[Source] = []
        self.sounds: list[Sound] = []

    def fill_layer(self, gap_s: float, dealt: list[int]) -> None:
        """Let one sound after another be heard, with random gaps; take ``dealt`` classes first."""
        recipe, rng = self.recipe, self.rng
        weights = np.array(recipe.event_weights) / sum(recipe.event_weights)
        now = float(rng.exponential(gap_s))
        while now < recipe.seconds - self.SHORTEST_S:
            class_id = dealt.pop() if dealt else int(rng.choice(NUM_CLASSES, p=weights))
            seconds = min(rng.uniform(*recipe.event_seconds[class_id]), recipe.seconds - now)
            source = self._idle_source(class_id, now, now + seconds)
            signal = self.bank.draw(class_id, self.split, seconds, source.seed, rng)
            level = recipe.level_db[class_id] + rng.uniform(-3, 3)
            start = int(now * SAMPLE_RATE)
            signal = signal[: int(recipe.seconds * SAMPLE_RATE) - start] * 10 ** (level / 20)
            self.sounds.append(Sound(source, start, signal.astype(np.float32)))
            now += len(signal) / SAMPLE_RATE + float(rng.exponential(gap_s))

    def replay(self, window: list[Track]) -> None:
        """Let the sources of a timeline sound, each at a distance drawn here.

        An event is one clip, again and again for as long as the event lasts.
        """
        recipe, rng = self.recipe, self.rng
        distance = {track.source: float(rng.uniform(*recipe.distance_m)) for track in window}
        for track in window:
            source = self._replayed(track, distance[track.source])
            self.sources.append(source)
            level = recipe.level_db[track.class_id] + rng.uniform(-3, 3)
            for first, last in track.events:
                length = (last - first) * SAMPLES_PER_FRAME
                clip = self.bank.draw(
                    track.class_id, self.split, length / SAMPLE_RATE, source.seed, rng
                )
                signal = np.resize(clip, length) * 10 ** (level / 20)
                start = first * SAMPLES_PER_FRAME
                self.sounds.append(Sound(source, start, signal.astype(np.float32)))

    def _replayed(self, track: Track, distance_m: float) -> ReplayedSource:
        """Return a source in the directions of a track, no further off than the room is wide."""
        low = np.array([0.2, 0.2, 0.05]) - self.array
        high = np.array(self.room.size_m) - 0.2 - self.array
        directions = track.directions
        with np.errstate(divide="ignore"):
            free = np.where(
                directions > 0,
                high / directions,
                np.where(directions < 0, low / directions, np.inf),
            ).min(axis=1)
        reach = free if track.class_id in ON_WALLS else np.minimum(distance_m, free)
        places = directions * np.maximum(reach, self.recipe.distance_m[0] / 2)[:, None]
        resting = places[len(places) // 2]
        return ReplayedSource(
            source_id=len(self.sources),
            class_id=track.class_id,
            seed=int(self.rng.integers(2**31)),
            azimuth_deg=float(angles_of_vector(resting)[0]),
            range_m=float(np.hypot(*resting[:2])),
            up_m=float(resting[2]),
            track_frames=track.frames,
            track_m=places,
        )

    def _idle_source(self, class_id: int, start_s: float, end_s: float) -> Source:
        busy = {
            sound.source.source_id
            for sound in self.sounds
            if sound.start < end_s * SAMPLE_RATE
            and sound.start + len(sound.signal) > start_s * SAMPLE_RATE
        }
        idle = [s for s in self.sources if s.class_id == class_id and s.source_id not in busy]
        if idle and self.rng.random() < 0.6:
            return idle[int(self.rng.integers(len(idle)))]
        return self.new_source(class_id)

    def new_source(self, class_id: int) -> Source:
        """Place a source apart from the others, as well as 40 tries can."""
        best, widest = self._random_source(class_id), -1.0
        for _ in range(40):
            source = self._random_source(class_id)
            apart = min(
                (
                    abs(float(wrap_azimuth(source.azimuth_deg - other.azimuth_deg)))
                    - 0.5 * (source.swing_deg + other.swing_deg)
                    for other in self.sources
                ),
                default=180.0,
            )
            if apart > widest:
                best, widest = source, apart
            if apart > 18:
                break
        self.sources.append(best)
        return best

    def _random_source(self, class_id: int) -> Source:
        recipe, rng = self.recipe, self.rng
        azimuth = float(rng.uniform(-180, 180))
        up = float(rng.uniform(*SOURCE_HEIGHT_M[class_id])) - self.array[2]
        up = min(up, self.room.size_m[2] - 0.3 - self.array[2])
        swing = 0.0
        if class_id in PEOPLE and rng.random() < recipe.moving:
            swing = float(rng.uniform(15, 60))
        swept = azimuth + np.linspace(-swing, swing, 25)
        if class_id in ON_WALLS:
            # The nearest of a few directions whose wall is within reach.
            several = rng.uniform(-180, 180, 12)
            reach = self._wall_distance(several)
            within = reach <= recipe.distance_m[1]
            pick = int(np.argmax(within)) if within.any() else int(np.argmin(reach))
            azimuth, horizontal = float(several[pick]), float(reach[pick])
        else:
            distance = float(rng.uniform(*recipe.distance_m))
            free = float(self._wall_distance(swept).min()) - 0.35
            # Never steeper than 55 degrees, where there would be no figure to see.
            horizontal = float(np.sqrt(max(distance**2 - up**2, (0.7 * up) ** 2)))
            horizontal = min(max(horizontal, recipe.distance_m[0]), free)
        return Source(
            source_id=len(self.sources),
            class_id=class_id,
            seed=int(rng.integers(2**31)),
            azimuth_deg=azimuth,
            range_m=horizontal,
            up_m=up,
            swing_deg=swing,
            period_s=float(rng.uniform(16, 30)),
            phase=float(rng.uniform(0, 2 * np.pi)),
        )

    def _wall_distance(self, azimuth_deg: FloatArray) -> FloatArray:
        """Return the horizontal distances from the array to the walls in some directions."""
        direction = unit_vector(azimuth_deg, np.zeros_like(azimuth_deg))[:, :2]
        side = np.where(direction > 0, np.array(self.room.size_m[:2]), 0.0)
        safe = np.where(np.abs(direction) > 1e-9, direction, 1e-9)
        return np.asarray(np.min((side - self.array[:2]) / safe, axis=1))
