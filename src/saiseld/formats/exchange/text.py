"""Lines of text: Audacity labels, Raven selection tables, RTTM."""

from __future__ import annotations

from saiseld.conventions.taxonomy import CLASS_FOLDERS
from saiseld.formats.exchange.model import RecordedEvents, place_text

_RAVEN_COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Class",
    "Azimuth (deg)",
    "Elevation (deg)",
    "Elevation assumed",
    "Distance (m)",
    "Score",
)


def audacity_labels(recorded: RecordedEvents) -> str:
    """Return an Audacity label track: start, end and text of each event, parted by tabs."""
    return "".join(
        f"{e.start_s:.6f}\t{e.end_s:.6f}\t{e.class_name}, {place_text(e)}\n"
        for e in recorded.events
    )


def raven_table(recorded: RecordedEvents) -> str:
    """Return a Raven selection table; selections reach over all frequencies of the recording."""
    rows = [_RAVEN_COLUMNS]
    for e in recorded.events:
        distance = "" if e.distance_cm is None else f"{e.distance_cm / 100:.2f}"
        rows.append(
            (
                str(e.number),
                "Spectrogram 1",
                "1",
                f"{e.start_s:.6f}",
                f"{e.end_s:.6f}",
                "0.0",
                f"{recorded.sample_rate / 2:.1f}",
                e.class_name,
                f"{e.azimuth:.1f}",
                f"{e.elevation:.1f}",
                "yes" if e.elevation_assumed else "no",
                distance,
                f"{e.score:.3f}",
            )
        )
    return "".join("\t".join(row) + "\n" for row in rows)


def rttm_lines(recorded: RecordedEvents) -> str:
    """Return RTTM lines (NIST RT-09, appendix A), with the class in place of the speaker.

    Fields are parted by blanks, so those of the recording's name become underscores, and classes
    have their names without blanks.
    """
    file_id = "_".join(recorded.name.split()) or "recording"
    return "".join(
        f"SPEAKER {file_id} 1 {e.start_s:.3f} {e.end_s - e.start_s:.3f} <NA> <NA> "
        f"{CLASS_FOLDERS[e.class_id]} {e.score:.3f} <NA>\n"
        for e in recorded.events
    )
