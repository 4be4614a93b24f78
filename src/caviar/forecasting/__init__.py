"""What a training will cost, from a rehearsal on this machine."""
