"""Image the packaged scene, list what sounds where, and draw a frame."""

from PIL import Image

import saiseld
from saiseld.pipeline.weights import DEMO

recording = next(DEMO.glob("*.wav"))
prediction = saiseld.image(recording, recording.with_suffix(".mp4"))
for event in prediction.events():
    print(f"{event.start_s:5.1f} to {event.end_s:5.1f} s  {event.class_name}, {event.azimuth:.0f}°")
Image.fromarray(prediction.plot(15)).save("frame.png")
