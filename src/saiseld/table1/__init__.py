"""Table 1 of KIST2026: its rows, measured anew, with figures and files."""
