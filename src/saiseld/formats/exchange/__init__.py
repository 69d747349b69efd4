"""Sound events in the formats of other programs: label tracks, tiers, annotations.

=========  ===================  ===================================================  ===========
format     ending               opened by                                            carries
=========  ===================  ===================================================  ===========
audacity   ``.audacity.txt``    Audacity, File > Import > Labels                     text
raven      ``.selections.txt``  Raven Pro and Lite                                   columns
rttm       ``.rttm``            pyannote, dscore, NIST tools                         score alone
textgrid   ``.TextGrid``        Praat                                                text
jams       ``.jams``            jams, mir_eval                                       fields
elan       ``.eaf``             ELAN                                                 text
dcase      ``.dcase.csv``       SELD code of DCASE                                   no score
coco       ``.coco.json``       pycocotools, FiftyOne, CVAT                          fields
=========  ===================  ===================================================  ===========

"Carries" says how azimuth, elevation, distance and score are kept. Angles are degrees, azimuth
positive to the left; distances are metres where their unit is not named. Events of all formats but
``dcase`` and ``coco`` have one direction, the mean of theirs; those two go frame by frame.
"""

from saiseld.formats.exchange.model import RecordedEvents
from saiseld.formats.exchange.registry import (
    EXCHANGE_FORMATS,
    exchange_format_of,
    exchange_formats_named,
    exchange_path,
    write_exchange,
)

__all__ = [
    "EXCHANGE_FORMATS",
    "RecordedEvents",
    "exchange_format_of",
    "exchange_formats_named",
    "exchange_path",
    "write_exchange",
]
