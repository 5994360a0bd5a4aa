"""Exports a stack's state as Terraform: a JSON configuration with resolved values, and an import block per resource."""

from bedplate.engine.terraform.configuration import TerraformExport, build_export
from bedplate.engine.terraform.directory import write_export

__all__ = ["TerraformExport", "build_export", "write_export"]
