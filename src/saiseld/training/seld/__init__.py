"""Training the ear: scenes mixed on the fly, losses, the run, the choice of its weights."""
