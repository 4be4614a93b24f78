"""A training that a person watches and steers: settings that change on the way, branches, and the log of it all."""
