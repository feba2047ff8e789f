"""Indexing and cutting by the nodes of a cluster."""
