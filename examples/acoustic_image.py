"""From four capsules to an acoustic image: where the energy of one frame comes from."""

import numpy as np
import torch
from matplotlib import pyplot as plt

from saiseld.acoustics import UpLAM, visibility
from saiseld.conventions.sphere import projection_table
from saiseld.data.recordings import open_recording
from saiseld.pipeline.weights import DEMO, find_weights

block = next(open_recording(next(DEMO.glob("*.wav"))).blocks(20))
covariance = visibility(block, dtype=np.complex64)  # (20, 9, 4, 4)
with torch.inference_mode():
    latent = UpLAM.load(find_weights().front_end)(torch.from_numpy(covariance)).numpy()
picture = latent[15].mean(axis=0)[projection_table("great_circle")]  # (180, 360)
plt.imsave("acoustic_image.png", picture, cmap="magma")
print(picture.shape, "brightest row and column:", np.unravel_index(picture.argmax(), picture.shape))
