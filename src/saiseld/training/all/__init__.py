"""From a corpus to a complete system: the stages of ``saiseld train all``."""
