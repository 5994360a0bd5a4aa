"""`python -m bedplate` is `bedplate`."""

from bedplate.cli import run

run()
