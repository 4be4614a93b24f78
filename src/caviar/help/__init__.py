"""What an error means, which command answers a question, and the smallest example to ask others with."""
