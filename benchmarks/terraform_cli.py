"""Terraform with its AWS provider, where this machine has both: found, never downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PROVIDER = "*/hashicorp/aws/*/*/terraform-provider-aws*"


def plugins() -> Path | None:
    """A directory of unpacked providers that holds AWS's: what BEDPLATE_TERRAFORM_PLUGINS names, or a usual place."""
    named = os.environ.get("BEDPLATE_TERRAFORM_PLUGINS")
    shared = os.environ.get("XDG_DATA_DIRS", "/usr/local/share:/usr/share").split(":")
    places = [
        *([Path(named)] if named else []),
        Path.home() / ".terraform.d" / "plugins",
        *(Path(place) / "terraform" / "plugins" for place in shared),
        *sorted(Path("/opt").glob("*")),
    ]
    return next((place for place in places if place.is_dir() and any(place.glob(_PROVIDER))), None)


def lacking() -> str:
    """Why Terraform cannot be used here; empty when it can."""
    if shutil.which("terraform") is None:
        return "no terraform on PATH"
    return "" if plugins() else "terraform has no AWS provider here"


@dataclass(frozen=True)
class Terraform:
    """The command in one directory, by itself: no configuration of the user's, no colours, no questions."""

    directory: Path

    def run(self, *words: str) -> str:
        """Standard output; AssertionError with what it said when it fails."""
        done = subprocess.run(
            self.command(*words), env=self.environment(), capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, f"terraform {' '.join(words)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def command(self, *words: str) -> list[str]:
        return ["terraform", f"-chdir={self.directory}", *words]

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "AWS_"))}
        return {**kept, "TF_CLI_ARGS": "-no-color", "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}

    def init(self) -> None:
        self.run("init", "-input=false", f"-plugin-dir={plugins()}")
