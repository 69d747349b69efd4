"""Dry sounds: collected or synthetic."""
