"""Scoring: protocols, metrics, and what they say of a model. No torch in here."""

METRICS = ("R1", "R5", "R10", "R20", "mAP", "mINP")
"""Measures of a trial: the share of queries with a match within k ranks, and two means."""
