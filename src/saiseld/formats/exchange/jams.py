"""JAMS (Humphrey et al., "JAMS: a JSON annotated music specification", ISMIR 2014), version 0.3."""

from __future__ import annotations

from typing import Any

from saiseld.formats.exchange.model import RecordedEvents
from saiseld.runtime.files import indented_json
from saiseld.runtime.version import __version__

_JAMS_VERSION = "0.3.5"


def jams_json(recorded: RecordedEvents) -> bytes:
    """Return two annotations of one recording.

    ``segment_open`` holds the class of each event, which every reader of labels understands;
    ``blob`` holds its number, class, azimuth, elevation (and whether it is assumed) and
    distance too. The confidence of both is the score.
    """
    annotations = [
        _annotation(recorded, "segment_open", [event.class_name for event in recorded.events]),
        _annotation(
            recorded,
            "blob",
            [
                {
                    "event": event.number,
                    "class": event.class_name,
                    "azimuth": event.azimuth,
                    "elevation": event.elevation,
                    "elevation_assumed": event.elevation_assumed,
                    "distance_cm": event.distance_cm,
                }
                for event in recorded.events
            ],
        ),
    ]
    document = {
        "annotations": annotations,
        "file_metadata": {
            "title": recorded.name,
            "artist": "",
            "release": "",
            "duration": recorded.duration_s,
            "identifiers": {},
            "jams_version": _JAMS_VERSION,
        },
        "sandbox": {},
    }
    return indented_json(document)


def _annotation(recorded: RecordedEvents, namespace: str, values: list[Any]) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "annotation_metadata": {
            "curator": {"name": "", "email": ""},
            "annotator": {},
            "version": __version__,
            "corpus": "",
            "annotation_tools": "saiseld",
            "annotation_rules": "",
            "validation": "",
            "data_source": "program",
        },
        "data": [
            {
                "time": event.start_s,
                "duration": event.end_s - event.start_s,
                "value": value,
                "confidence": event.score,
            }
            for event, value in zip(recorded.events, values, strict=True)
        ],
        "sandbox": {},
        "time": 0.0,
        "duration": recorded.duration_s,
    }
