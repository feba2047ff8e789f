"""Files: written whole or not at all, and read as what they are, also those of strangers."""
