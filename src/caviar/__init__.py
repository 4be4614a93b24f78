"""Caviar."""
