"""Training the SELD network: scenes mixed on the fly, losses, the run, its selection."""
