"""The finished model: what a person takes away."""
