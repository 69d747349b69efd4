"""A corpus that no packaged weights have heard; see README.md."""
