"""Writes an export into a directory that is its own: anew each time, and nothing of anybody else's is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from bedplate.engine.terraform.document import Export
from bedplate.errors import UsageError

MARKER = ".bedplate-export.json"
SECRETS = "secrets.auto.tfvars.json"
IGNORED = (".terraform/", "*.tfstate", "*.tfstate.*", SECRETS)


def write(export: Export, directory: Path, *, stack: str, project_dir: Path) -> tuple[str, ...]:
    """Write the files, each atomically; returns their names. Files of an earlier export that are no longer part go.

    Raises UsageError for a directory that holds something else.
    """
    _refuse_foreign(directory)
    directory.mkdir(parents=True, exist_ok=True)
    before = _written_before(directory)
    names = [*export.files, *export.texts, *export.assets, ".gitignore", "README.md"]
    secrets = {name: value for name, value in export.secrets.items() if value is not None}
    if secrets:
        names.append(SECRETS)
    # The marker comes first: a run that is killed midway leaves a directory that the next one may write to.
    _put(directory / MARKER, json.dumps({"stack": stack, "files": sorted({*names, *before})}, indent=2) + "\n")
    for name, tree in export.files.items():
        _put(directory / name, json.dumps(tree, indent=2, ensure_ascii=False) + "\n")
    for name, text in export.texts.items():
        _put(directory / name, text)
    for name, source in export.assets.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project_dir / "infra" / source, directory / name)
    if secrets:
        _put(directory / SECRETS, json.dumps(secrets, indent=2) + "\n", mode=0o600)
    _put(directory / ".gitignore", "".join(f"{line}\n" for line in IGNORED))
    _put(directory / "README.md", _readme(export, stack))
    for name in before:
        if name not in names:
            (directory / name).unlink(missing_ok=True)
    _put(directory / MARKER, json.dumps({"stack": stack, "files": sorted(names)}, indent=2) + "\n")
    return tuple(names)


def _refuse_foreign(directory: Path) -> None:
    if directory.is_file():
        raise UsageError(f"{directory} is a file; a directory is expected", next_step="bedplate export terraform DIR")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / MARKER).exists():
        raise UsageError(
            f"{directory} holds files that no export wrote; nothing was written",
            next_step=f"bedplate export terraform {directory / 'terraform'}",
        )


def _written_before(directory: Path) -> tuple[str, ...]:
    marker = directory / MARKER
    if not marker.exists():
        return ()
    held: dict[str, Any] = json.loads(marker.read_text(encoding="utf-8"))
    return tuple(held.get("files", ()))


def _put(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.fresh")
    fresh.touch(mode=mode)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _readme(export: Export, stack: str) -> str:
    lines = [
        f"# Stack {stack} as Terraform",
        "",
        f"{export.resources} resources as they are, each with an `import` block, by `bedplate export terraform`.",
        "",
        "    terraform init",
        "    terraform plan     # imports only: nothing to add, to change or to destroy",
        "    terraform apply    # from here on Terraform knows them; stop running `bedplate up` on this stack",
        "",
        "Afterwards `imports.tf.json` may go. The commands that move models (`bedplate train`, `deploy`, `rollback`)",
        "work on: they read the SSM parameter with the platform's outputs, whoever keeps it.",
    ]
    if export.secrets:
        where = (
            f"`{SECRETS}` holds them (mode 0600, not for git)"
            if any(export.secrets.values())
            else "set them as variables"
        )
        lines += ["", f"Secrets ({len(export.secrets)}): {where}.", "", *(f"- `{name}`" for name in export.secrets)]
    if export.left_out:
        lines += [
            "",
            "Left out, since AWS does not keep them and an import cannot read them; add them back after the import:",
            "",
            *(f"- `{name}`" for name in export.left_out),
        ]
    return "\n".join(lines) + "\n"
