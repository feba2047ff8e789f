"""A gallery in one folder: facts in SQLite, vectors in memory-mapped files."""
