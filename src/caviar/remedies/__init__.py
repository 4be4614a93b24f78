"""Remedies: what may help, each a function from a recipe to a changed recipe."""
