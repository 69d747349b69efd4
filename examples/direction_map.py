"""From sound to the SELD network's maps: where each class would sound, and how active it is."""

import numpy as np
from matplotlib import pyplot as plt
from scipy.special import expit

from saiseld.conventions.sphere import projection_table
from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.data.recordings import read_audio
from saiseld.pipeline.weights import DEMO, find_weights
from saiseld.seld.audio_branch import AudioBranch

branch = AudioBranch.load(find_weights().seld)
output = branch(read_audio(next(DEMO.glob("*.wav"))))
probability = expit(output.maps)  # (frames, 13, 484)
frame, loudest = np.unravel_index(probability.max(axis=2).argmax(), probability.shape[:2])

figure, (above, below) = plt.subplots(2, 1, figsize=(7, 6), layout="constrained")
above.imshow(expit(output.classes).T, aspect="auto", cmap="magma", vmin=0, vmax=1)
above.set_yticks(range(len(CLASS_NAMES)), CLASS_NAMES, fontsize=7)
above.set(title="Activity of each class", xlabel="frame (0.1 s)")
picture = probability[frame, loudest][projection_table("great_circle")]  # (180, 360)
below.imshow(picture, cmap="magma", extent=(180, -180, -90, 90))
below.set_title(f"Map of {CLASS_NAMES[loudest]}, frame {frame}")
below.set(xlabel="azimuth (degrees)", ylabel="elevation (degrees)")
figure.savefig("direction_map.png", dpi=100)
print(CLASS_NAMES[loudest], "is most likely in frame", frame)
