"""`caviar.tune`: a search carried out, kept in its folder, gone on with."""
