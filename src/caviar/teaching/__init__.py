"""What a lesson is made of: its contract, its rows, its training, and what was found."""
