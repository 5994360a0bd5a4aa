"""Copies this repository's Pulumi program into a project of a test."""

from __future__ import annotations

import shutil
from pathlib import Path

from repository import ROOT

_ROLLOUT_OVERRIDE = "      rollout: {bake_s: 6, min_predictions: 200}\n"
_STACK_CHANGES = {
    "monthly_usd: 20\n": "monthly_usd: 21\n",
    "finance@": "treasury@",
    _ROLLOUT_OVERRIDE: _ROLLOUT_OVERRIDE + "      serving: {instance_type: ml.m5.xlarge}\n",
}


def copy_program(project: Path, *folders: str) -> None:
    """Copies Pulumi.yaml and these folders, by default the program with all models and stack files."""
    shutil.copy(ROOT / "Pulumi.yaml", project)
    for name in folders or ("infra", "models", "stacks"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))


def write_local_stack_file(project: Path, *, changed: bool = False) -> Path:
    """Writes the committed file of the stack `local`. Returns its path.

    With `changed`, it has another budget, email and instance type, which results in updates, a create, a delete and a
    replacement.
    """
    path = Path("stacks", "Pulumi.local.yaml")
    text = (ROOT / path).read_text()
    for old, new in _STACK_CHANGES.items() if changed else ():
        assert old in text
        text = text.replace(old, new)
    (project / path).write_text(text)
    return project / path
