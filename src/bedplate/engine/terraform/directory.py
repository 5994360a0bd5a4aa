"""Writes a Terraform export into a directory of its own: replaces an earlier export, and never touches other files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from bedplate.engine.terraform.configuration import TerraformExport
from bedplate.errors import UsageError

MARKER = ".bedplate-export.json"
SECRETS = "secrets.auto.tfvars.json"
GIT_IGNORED = (".terraform/", "*.tfstate", "*.tfstate.*", SECRETS)


def write_export(export: TerraformExport, directory: Path, *, stack: str, project_dir: Path) -> tuple[str, ...]:
    """Writes the files, each atomically, and returns their names; deletes files of an earlier export that are not
    among them.

    Raises UsageError for a directory that contains other files.
    """
    _require_own_directory(directory)
    directory.mkdir(parents=True, exist_ok=True)
    earlier_files = _earlier_files(directory)
    names = [*export.files, *export.text_files, *export.asset_files, ".gitignore", "README.md"]
    secrets = {name: value for name, value in export.secrets.items() if value is not None}
    if secrets:
        names.append(SECRETS)
    # The marker comes first, so that a run can continue in a directory that a killed run left.
    _write_json(directory / MARKER, {"stack": stack, "files": sorted({*names, *earlier_files})})
    for name, tree in export.files.items():
        _write_json(directory / name, tree)
    for name, text in export.text_files.items():
        _write_file(directory / name, text)
    for name, source in export.asset_files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project_dir / "infra" / source, directory / name)
    if secrets:
        _write_json(directory / SECRETS, secrets, mode=0o600)
    _write_file(directory / ".gitignore", "".join(f"{line}\n" for line in GIT_IGNORED))
    _write_file(directory / "README.md", _format_readme(export, stack))
    for name in earlier_files:
        if name not in names:
            (directory / name).unlink(missing_ok=True)
    _write_json(directory / MARKER, {"stack": stack, "files": sorted(names)})
    return tuple(names)


def _require_own_directory(directory: Path) -> None:
    if directory.is_file():
        raise UsageError(f"{directory} is a file, not a directory", next_step="bedplate export terraform DIR")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / MARKER).exists():
        raise UsageError(
            f"{directory} contains files that no export wrote; nothing was written",
            next_step=f"bedplate export terraform {directory / 'terraform'}",
        )


def _earlier_files(directory: Path) -> tuple[str, ...]:
    """Returns the names of the files that an earlier export wrote into the directory."""
    marker = directory / MARKER
    if not marker.exists():
        return ()
    content: dict[str, Any] = json.loads(marker.read_text(encoding="utf-8"))
    return tuple(content.get("files", ()))


def _write_json(path: Path, content: dict[str, Any], *, mode: int = 0o644) -> None:
    _write_file(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", mode=mode)


def _write_file(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Writes a file atomically, with the permissions `mode` from the beginning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.touch(mode=mode)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _format_readme(export: TerraformExport, stack: str) -> str:
    lines = [
        f"# Stack {stack} as Terraform",
        "",
        f"{export.resource_count} resources in their current state, each with an `import` block, written by",
        "`bedplate export terraform`.",
        "",
        "    terraform init",
        "    terraform plan     # imports only: nothing to add, to change or to destroy",
        "    terraform apply    # Terraform manages the resources from now on; do not run `bedplate up` on this stack",
        "",
        "Afterwards you can delete `imports.tf.json`. The commands for models (`bedplate train`, `deploy`, `rollback`)",
        "still work: they read the platform's outputs from the SSM parameter, which Terraform manages from then on.",
    ]
    if export.secrets:
        instruction = (
            f"their values are in `{SECRETS}` (mode 0600, ignored by git)"
            if any(export.secrets.values())
            else "set their values as variables"
        )
        lines += [
            "",
            f"Secrets ({len(export.secrets)}): {instruction}.",
            "",
            *(f"- `{name}`" for name in export.secrets),
        ]
    if export.left_out:
        lines += [
            "",
            "Left out, because AWS does not store them and an import cannot read them; add them after the import:",
            "",
            *(f"- `{name}`" for name in export.left_out),
        ]
    return "\n".join(lines) + "\n"
