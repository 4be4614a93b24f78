"""The diagnosis: checks that read evidence and name what is wrong."""
