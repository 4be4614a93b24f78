"""`python -m caviar`: the command line."""

from caviar.command.main import main

main()
