"""Commands: each file parses, calls the library and prints."""
