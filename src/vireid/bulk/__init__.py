"""Bulk work: spread over the processors, GPUs and machines of a cluster, by Ray."""
