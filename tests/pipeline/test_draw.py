from saiseld.formats.annotation import EnergyMask
from saiseld.formats.sound_events import SoundEvents
from saiseld.pipeline.draw import Drawn


def test_it_is_said_why_fewer_masks_are_shown_than_written(golden_case) -> None:
    shown: list[EnergyMask] = next(iter(golden_case[0].values()))[:2]
    note = Drawn(SoundEvents(), shown, 0.12, 151).note()
    assert note == "2 of 151 masks shown: scored 0.12 or more, in 3 frames at least"
