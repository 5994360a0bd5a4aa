"""Runs the Pulumi program of `infra/`: by the real CLI, or by the embedded engine, through one Automation API seam."""
