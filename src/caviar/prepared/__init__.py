"""Prepared experiments, one after the other."""
