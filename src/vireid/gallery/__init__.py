"""Galleries: embeddings with facts about them, searchable across spectra. No torch in here."""

from vireid.gallery.gallery import Gallery, Hit
from vireid.gallery.local.facts import GalleryError, Stamp

__all__ = ["Gallery", "GalleryError", "Hit", "Stamp"]
