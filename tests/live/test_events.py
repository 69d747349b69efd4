"""Changes of events: what begins also ends, moves are told, lines keep to their schema."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.live.synthetic import frame_at

from saiseld.decision.linking import GAP
from saiseld.live.events import MOVE_DEG, EventTracker, events_schema
from saiseld.live.outputs import EventFeed, json_lines

FRAME = frame_at(0, 0)


def frame(number, *marks):
    """Return a frame with marks (event, azimuth)."""
    made = [replace(FRAME.marks[0], number=event, azimuth=azimuth) for event, azimuth in marks]
    return replace(FRAME, frame=number, marks=tuple(made))


def changes_of(frames):
    tracker = EventTracker(clock=lambda: FRAME.captured + 1.2, wall_clock=lambda: 1e9)
    told = [change for one in frames for change in tracker.changes(one)]
    return told + tracker.close()


def test_an_event_begins_moves_and_ends() -> None:
    frames = [frame(n, (1, 40)) for n in range(3)] + [frame(3, (1, 40 + MOVE_DEG + 1))]
    frames += [frame(n) for n in range(4, 4 + GAP + 3)]
    begin, move, end = changes_of(frames)
    assert (begin.type, begin.time, begin.azimuth) == ("begin", 0.0, 40.0)
    assert (move.type, move.time, move.azimuth, move.began) == ("move", 0.3, 46.0, 0.0)
    assert (end.type, end.time, end.began) == ("end", 0.4, 0.0)  # when its last frame ended
    assert begin.unix_time == pytest.approx(1e9 - 1.2) and begin.distance == 1.5


def test_a_move_across_the_seam_is_small() -> None:
    told = changes_of([frame(0, (1, 179)), frame(1, (1, -179))])
    assert [change.type for change in told] == ["begin", "end"]


MARKS = st.lists(st.tuples(st.integers(1, 4), st.integers(-180, 180)), unique_by=lambda m: m[0])


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(MARKS, max_size=12), st.integers(1, 8))
def test_every_event_that_began_ends_once_and_after_its_moves(frames, step) -> None:
    told = changes_of([frame(n * step, *marks) for n, marks in enumerate(frames)])
    going_on: set[int] = set()
    for change in told:
        if change.type == "begin":
            assert change.event not in going_on
            going_on.add(change.event)
        else:
            assert change.event in going_on
        if change.type == "end":
            going_on.remove(change.event)
    assert not going_on


def test_lines_keep_to_the_schema_and_say_what_is_assumed() -> None:
    written = io.StringIO()
    with EventFeed([json_lines(written)]) as feed:
        feed.add(replace(frame(0, (1, 10), (2, -170)), elevation_assumed=True))
        feed.add(frame(1, (1, 30)))
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    for line in lines:
        jsonschema.validate(line, events_schema())
    assert [(line["type"], line["event"]) for line in lines] == [
        ("begin", 1),
        ("begin", 2),
        ("move", 1),
        ("end", 1),
        ("end", 2),
    ]
    assert [line["elevation_assumed"] for line in lines] == [True, True, False, False, True]
    properties = events_schema()["$defs"]["EventChange"]["properties"]
    assert all(one["description"] for one in properties.values())


def test_an_output_that_fails_leaves_the_others_their_ends() -> None:
    taken, failing = [], []

    def fails(change) -> None:
        failing.append(change)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError), EventFeed([fails, taken.append]) as feed:
        feed.add(frame(0, (1, 0), (2, 90)))
    assert len(failing) == 1
    assert [change.type for change in taken] == ["begin", "begin", "end", "end"]
