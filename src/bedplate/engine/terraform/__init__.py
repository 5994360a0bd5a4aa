"""A stack's state as Terraform: resolved resources as JSON configuration, with an import block for each of them."""

from bedplate.engine.terraform.directory import write
from bedplate.engine.terraform.document import Export, export

__all__ = ["Export", "export", "write"]
