"""Models: opened from a run, from an export or by a shipped model's name; and exported."""
