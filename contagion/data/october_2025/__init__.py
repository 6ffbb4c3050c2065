"""The case of 10 October 2025: figures, and the scripts that turn them into tables."""
