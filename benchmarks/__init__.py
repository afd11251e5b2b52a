"""Measurements of quality and speed, one command each."""
