"""Scoring: protocols, metrics, and what they say of a model. No torch in here."""
