"""Training of the front end and of the detector, by recipes."""
