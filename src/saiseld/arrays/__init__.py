"""Microphone arrays other than the em32: descriptions, responses, conversion to four capsules."""
