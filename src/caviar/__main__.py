"""`python -m caviar`: the command line."""

from caviar.cli import main

main()
