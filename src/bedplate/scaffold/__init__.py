"""Writes a new platform repository: Pulumi program, stack files, a sample model, tests and a CI workflow."""

from bedplate.scaffold.repository import ScaffoldRequest, ScaffoldResult, write_repository

__all__ = ["ScaffoldRequest", "ScaffoldResult", "write_repository"]
