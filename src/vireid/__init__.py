"""Visible-infrared person re-identification: learn it, score it, search with it."""

__version__ = "0.1.0"
