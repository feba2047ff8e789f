"""Comparisons with released code, one file for each of them; run by `step_parity.py`."""
