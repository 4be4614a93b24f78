"""Recipes beside each other: two of them, the same one with other seeds, and a choice on new data."""
