"""Pretrained encoders of sound: one more, and a converter of the wheels they come in."""
