"""Galleries: embeddings with what is known about them, searchable across spectra; without torch."""

from vireid.gallery.filters import Filters
from vireid.gallery.gallery import Gallery, Hit
from vireid.gallery.store import GalleryError, Stamp

__all__ = ["Filters", "Gallery", "GalleryError", "Hit", "Stamp"]
