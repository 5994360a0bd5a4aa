"""Finds Terraform and its AWS provider on this machine, without downloading them, and runs commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PROVIDER = "*/hashicorp/aws/*/*/terraform-provider-aws*"


def find_plugin_directory() -> Path | None:
    """Returns a directory of unpacked providers with the AWS provider: BEDPLATE_TERRAFORM_PLUGINS or a usual place."""
    configured = os.environ.get("BEDPLATE_TERRAFORM_PLUGINS")
    shared = os.environ.get("XDG_DATA_DIRS", "/usr/local/share:/usr/share").split(":")
    places = [
        *([Path(configured)] if configured else []),
        Path.home() / ".terraform.d" / "plugins",
        *(Path(place) / "terraform" / "plugins" for place in shared),
        *sorted(Path("/opt").glob("*")),
    ]
    return next((place for place in places if place.is_dir() and any(place.glob(_PROVIDER))), None)


def missing_reason() -> str:
    """Returns why Terraform cannot be used on this machine; empty when it can."""
    if shutil.which("terraform") is None:
        return "no terraform on PATH"
    return "" if find_plugin_directory() else "terraform has no AWS provider here"


@dataclass(frozen=True)
class Terraform:
    """Runs Terraform in one directory without the user's configuration, colors and prompts."""

    directory: Path

    def run(self, *words: str) -> str:
        """Runs a command and returns its standard output. Raises AssertionError with the output when it fails."""
        process = subprocess.run(
            self.command(*words), env=self.environment(), capture_output=True, text=True, check=False, timeout=600
        )
        assert process.returncode == 0, (
            f"terraform {' '.join(words)}\n{process.stdout[-4000:]}\n{process.stderr[-4000:]}"
        )
        return process.stdout

    def command(self, *words: str) -> list[str]:
        return ["terraform", f"-chdir={self.directory}", *words]

    def environment(self) -> dict[str, str]:
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "AWS_"))}
        return {**variables, "TF_CLI_ARGS": "-no-color", "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}

    def init(self) -> None:
        self.run("init", "-input=false", f"-plugin-dir={find_plugin_directory()}")
