"""The command line, a module for each journey; `main` puts their commands together."""
