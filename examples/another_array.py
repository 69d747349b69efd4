"""Image sound of an array of your own: described, recorded in simulation, converted."""

from pathlib import Path

import numpy as np

from saiseld.arrays.converter import converter_for
from saiseld.arrays.description import read_array
from saiseld.arrays.responses import array_response
from saiseld.conventions.sphere import unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE

Path("ring.toml").write_text("""
name = "ring of six"
model = "open"
half = "up"
positions_m = [[0.045, 0, 0], [0.0225, 0.039, 0], [-0.0225, 0.039, 0],
               [-0.045, 0, 0], [-0.0225, -0.039, 0], [0.0225, -0.039, 0]]
""")
ring = read_array("ring.toml")

# A second of noise from the left, as the six microphones record it.
noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE)
frequency = np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE)
response = array_response(ring, frequency, unit_vector([90.0], [10.0]))[:, 0]
recorded = np.fft.irfft(np.fft.rfft(noise)[:, None] * response, axis=0).astype(np.float32)

converter = converter_for(ring)
stream = converter.stream()
capsules = np.concatenate([stream.push(recorded), stream.close()])
assumed = "assumed" if converter.elevation_assumed else "measured"
print(f"{converter.name}: {recorded.shape} to {capsules.shape}, elevation {assumed}")
