"""The run: the folder that holds everything one command learned."""
