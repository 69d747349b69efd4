"""Whether a recording or a data tree is what it should be."""
