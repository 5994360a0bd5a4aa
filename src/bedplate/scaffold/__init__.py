"""Writes a new platform repository: the program, an environment file each, a sample model, tests, a CI workflow."""

from bedplate.scaffold.repository import ScaffoldResult, Wanted, write

__all__ = ["ScaffoldResult", "Wanted", "write"]
