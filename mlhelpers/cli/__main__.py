"""`python -m mlhelpers.cli` is `mlhelpers`."""

from mlhelpers.cli import main

main()
