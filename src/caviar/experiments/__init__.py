"""Experiments: what must be tried to be known. Each trains a few extra members and yields named evidence."""
