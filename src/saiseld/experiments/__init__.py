"""What reproduces or studies, and no product code needs."""
