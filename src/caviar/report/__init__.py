"""How a run is shown: one HTML page, and a few lines in the terminal."""
