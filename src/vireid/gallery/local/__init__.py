"""A gallery in one folder: a catalogue in SQLite, vectors in memory-mapped files."""
