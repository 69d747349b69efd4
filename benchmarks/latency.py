"""What promptness costs: credible masks of a prompt stream against those of an exact one.

    python -m benchmarks.latency [RECORDING ...]

By ear alone, as fast as it goes; the packaged scene if no recording is given. Two masks agree that
are of one frame and class and less than 20 degrees apart.
"""

import sys
from collections import defaultdict
from pathlib import Path

from threadpoolctl import threadpool_limits

from saiseld.conventions.sphere import great_circle
from saiseld.data.recordings import open_recording
from saiseld.decision.linking import REACH, is_shown
from saiseld.formats.annotation import EnergyMask
from saiseld.live.stream import Latency, Stream
from saiseld.pipeline.defaults import VIEWING_THRESHOLD
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import DEMO


def credible(imager: Imager, path: Path, latency: Latency) -> list[EnergyMask]:
    stream = Stream(imager, video=False, latency=latency)
    frames = []
    for number, block in enumerate(open_recording(path).blocks(1)):
        frames += stream.push(block, (number + 1) / 10)
    masks = [mask for frame in [*frames, *stream.close()] for mask in frame.masks]
    return [mask for mask in masks if is_shown(mask, VIEWING_THRESHOLD)]


def agreeing(masks: list[EnergyMask], others: list[EnergyMask]) -> int:
    there = defaultdict(list)
    for mask in others:
        there[mask.frame, mask.class_id].append(mask.direction)
    return sum(
        any(
            great_circle(*mask.direction, *direction) < REACH
            for direction in there[mask.frame, mask.class_id]
        )
        for mask in masks
    )


def main() -> None:
    paths = [Path(path) for path in sys.argv[1:]] or list(DEMO.glob("*.wav"))
    imager = Imager(threads=1)
    counts = [0, 0, 0, 0]
    for path in paths:
        prompt, exact = (credible(imager, path, latency) for latency in ("prompt", "exact"))
        found = len(prompt), len(exact), agreeing(prompt, exact), agreeing(exact, prompt)
        counts = [a + b for a, b in zip(counts, found, strict=True)]
    prompts, exacts, right, known = counts
    print(f"{len(paths)} recordings: {prompts} credible masks are prompt, {exacts} exact")
    print(f"of the prompt ones {right / prompts:.1%} are exact ones too,")
    print(f"of the exact ones {known / exacts:.1%} are known promptly")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
