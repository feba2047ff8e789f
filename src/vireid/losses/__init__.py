"""Losses that training minimises: functions of tensors, one a file."""
