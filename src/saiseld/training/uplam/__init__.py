"""Training of the acoustic front end."""
