"""Lessons taken: run, beside each other, asked about, changed, remembered."""
