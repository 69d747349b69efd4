"""One recording, from file to file."""
