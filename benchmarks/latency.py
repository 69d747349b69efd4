"""What low latency costs: credible masks of a low-latency stream against those of an exact one.

    python -m benchmarks.latency [RECORDING ...] [--video FOLDER] [--labels FOLDER]

By ear alone without videos, as fast as it goes; the packaged scene if no recording is given. Two
masks agree that are of one frame and class and less than 20 degrees apart. With labels
(``<recording>_std.json``) all masks of both are scored by the official metric too.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from threadpoolctl import threadpool_limits

from saiseld.conventions.sphere import great_circle
from saiseld.data.recordings import open_recording
from saiseld.data.video import open_video
from saiseld.decision.linking import REACH, is_shown
from saiseld.evaluation import evaluate
from saiseld.formats.annotation import EnergyMask, read_annotations
from saiseld.live.stream import Stream
from saiseld.pipeline.defaults import VIEWING_THRESHOLD
from saiseld.pipeline.engine import Latency
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import DEMO

LATENCIES: tuple[Latency, ...] = ("low", "exact")


def masks_of(imager: Imager, path: Path, video: Path | None, latency: Latency) -> list[EnergyMask]:
    stream = Stream(imager, video=video is not None, latency=latency)
    pictures = iter(()) if video is None else open_video(video)
    frames = []
    for number, block in enumerate(open_recording(path).blocks(1)):
        stream.picture(next(pictures, None), number / 10)
        frames += stream.push(block, (number + 1) / 10)
    return [mask for frame in [*frames, *stream.close()] for mask in frame.masks]


def credible(masks: list[EnergyMask]) -> list[EnergyMask]:
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
    parser = argparse.ArgumentParser()
    parser.add_argument("recordings", nargs="*", type=Path, default=list(DEMO.glob("*.wav")))
    parser.add_argument("--video", type=Path, help="folder of <recording>.mp4")
    parser.add_argument("--labels", type=Path)
    asked = parser.parse_args()
    imager = Imager(threads=1)
    counts = [0, 0, 0, 0]
    masks: dict[Latency, dict[str, list[EnergyMask]]] = {latency: {} for latency in LATENCIES}
    for path in asked.recordings:
        video = asked.video and asked.video / f"{path.stem}.mp4"
        for latency in LATENCIES:
            masks[latency][path.stem] = masks_of(imager, path, video, latency)
        prompt, exact = (credible(masks[latency][path.stem]) for latency in LATENCIES)
        found = len(prompt), len(exact), agreeing(prompt, exact), agreeing(exact, prompt)
        counts = [a + b for a, b in zip(counts, found, strict=True)]
        print(path.stem, *found, flush=True)
    prompts, exacts, right, known = counts
    print(f"{len(masks['exact'])} recordings: {prompts} credible masks are low, {exacts} exact")
    print(f"of the former {right / prompts:.1%} are exact ones too,")
    print(f"of the exact ones {known / exacts:.1%} are known promptly")
    if asked.labels is not None:
        labels = {
            name: read_annotations(asked.labels / f"{name}_std.json") for name in masks["exact"]
        }
        for latency in LATENCIES:
            scores = evaluate(masks[latency], labels)
            print(f"{latency}: macro mAP {scores.macro_mAP:.4f}, r {scores.macro_pearson_r:.3f}")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
