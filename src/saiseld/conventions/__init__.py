"""What the field agrees on: classes, sphere, time, arrays. One owner for each."""
