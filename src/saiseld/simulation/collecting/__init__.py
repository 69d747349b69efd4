"""Real sounds and rooms from public packages (`saiseld collect`, docs/sounds.md)."""
