"""The course: every lesson an experiment, every claim checked."""
