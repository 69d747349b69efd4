"""What was heard is told in lines that fit a terminal."""

from saiseld.cli.printing import print_assessment, print_events
from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.formats.sound_events import SoundEvent, SoundEvents
from saiseld.training.matchability.assessment import Assessment


def test_events_are_listed_in_80_columns(capsys) -> None:
    events = SoundEvents(
        SoundEvent(c + 1, c, name, 3000.0 + c, 3599.9, -179.6, -89.9, 1234.0 if c else None, 0.5)
        for c, name in enumerate(CLASS_NAMES)
    )
    print_events("meeting", events)
    head, columns, *lines = capsys.readouterr().out.splitlines()
    assert head == "meeting: 13 sound events (azimuth positive to the left)"
    assert columns.split() == ["from", "to", "sound", "azimuth", "elev.", "dist.", "score"]
    assert len(lines) == 13 and all(len(line) <= 80 for line in lines)
    assert "3000.0 s 3599.9 s  Female speech" in lines[0] and "–" in lines[0]
    assert all(name in line for name, line in zip(CLASS_NAMES, lines, strict=True))
    print_events("meeting", SoundEvents())
    assert capsys.readouterr().out == "meeting: nothing credible was heard\n"


def test_a_loss_is_not_called_a_gain(capsys) -> None:
    print_assessment(Assessment({}, None, None, {"0.25": (0.5, 0.4), "0.50": (0.2, 0.3)}))
    printed = capsys.readouterr().out
    assert "-0.1000" in printed and "+0.1000" in printed and "worse" in printed
    assert "0.25." in printed and "Gain" not in printed
