"""Galleries: embeddings with facts about them, searchable across spectra. No torch in here."""

from vireid.gallery.facts import GalleryError, Stamp
from vireid.gallery.gallery import Gallery, Hit
from vireid.gallery.indexing import Indexed, index

__all__ = ["Gallery", "GalleryError", "Hit", "Indexed", "Stamp", "index"]
