"""One candidate table, several rules: what each emits and how it scores."""

from dataclasses import replace

from saiseld import Imager, evaluate
from saiseld.data.recordings import open_recording
from saiseld.data.video import open_video
from saiseld.decision.systems import decide, system_named
from saiseld.pipeline.weights import DEMO

path = next(DEMO.glob("*.wav"))
blocks = list(Imager().blocks(open_recording(path), open_video(path.with_suffix(".mp4"))))
for name, emission in (("TASK3B_3", "grid3"), ("TASK3B_3", "blob"), ("Sparse peaks", "sparse")):
    system = replace(system_named(name), emission=emission)
    masks = [mask for block in blocks for mask in decide(block.candidates, system)]
    scores = evaluate({path.stem: masks}, DEMO)
    print(f"{emission:8} {len(masks):4} masks, macro mAP {scores.headline()['macro_mAP']:.3f}")
