"""The official metrics, exact and fast, and what explains them. Imports no torch."""
