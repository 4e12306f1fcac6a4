"""`python -m flawsight` is the `flawsight` command."""

from flawsight.cli import main

main()
