"""The files that pass between steps: annotations, candidates, events, checkpoints."""
