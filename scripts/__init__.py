"""What `make` runs, and what is worth running by hand."""
