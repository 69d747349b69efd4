"""Training of the front end and of the detector, by recipes (spec 2, spec 3)."""
