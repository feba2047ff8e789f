"""Parsers of files from strangers, fed with bytes at random: a value or a VireidError, in bounds.

`targets` are the parsers, `corpus` holds the files that mutations start from and what was found
before, `mutations` changes bytes, `bounds` watches time and memory. Pytest replays the corpus and
tries a few hundred mutations; `make fuzz` (`python -m tests.fuzz`) tries mutations for minutes.
"""
