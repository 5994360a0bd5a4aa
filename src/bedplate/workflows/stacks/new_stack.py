"""Creates a new environment's stack file, and validates it before it is written."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from bedplate.domain.stacks.environments import find_name_conflict
from bedplate.errors import SettingsError, UsageError
from bedplate.settings import list_stack_names, load_stack, stack_file
from bedplate.settings.drafts import draft_stack_file
from bedplate.workflows.stacks.validation import validate_stack

_NAME = re.compile(r"^[a-z][a-z0-9-]{0,18}[a-z0-9]$")


def create_stack_file(
    project_dir: Path,
    name: str,
    *,
    source: str,
    target: str | None = None,
    region: str | None = None,
    account_id: str | None = None,
) -> Path:
    """Writes `stacks/Pulumi.<name>.yaml` based on the file of `source`, and returns its path.

    Raises UsageError for an invalid or conflicting name and for a file that exists, NotFound for an unknown source,
    SettingsError with every error that the new file would have.
    """
    if not _NAME.match(name):
        raise UsageError(
            f"{name!r} is not a valid stack name: 2 to 20 lower-case letters, digits and dashes, a letter first",
            next_step="bedplate stack new qa --from dev",
        )
    others = list_stack_names(project_dir)
    path = project_dir / "stacks" / f"Pulumi.{name}.yaml"
    if name in others:
        raise UsageError(f"{path.relative_to(project_dir)} already exists", next_step=f"$EDITOR {path}")
    if other := find_name_conflict(name, others):
        raise UsageError(
            f"Resources of {name!r} and {other!r} would share the prefix <project>-{min(name, other)}-..., and the "
            "roles of one stack could access the other's resources",
            next_step=f"bedplate stack new {name.replace('-', '')} --from {source}",
        )
    source_settings = load_stack(project_dir, source)
    is_local = (target or source_settings.target) == "local"
    values: dict[str, str | None] = {"bedplate:account_id": f'"{account_id}"' if account_id and not is_local else None}
    if account_id and is_local:
        raise UsageError("--account is for stacks on AWS", next_step=f"bedplate stack new {name} --target aws")
    if target:
        values["bedplate:target"] = target
    if region:
        values["aws:region"] = region
    source_text = stack_file(project_dir, source).read_text(encoding="utf-8")
    text = draft_stack_file(source_text, stack=name, source=source, values=values)
    _validate_draft(project_dir, name, text)
    path.write_text(text, encoding="utf-8")
    return path


def _validate_draft(project_dir: Path, name: str, text: str) -> None:
    """Validates the file in a temporary folder with the project's models."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder)
        (trial / "stacks").mkdir()
        (trial / "models").symlink_to(project_dir / "models")
        (trial / "stacks" / f"Pulumi.{name}.yaml").write_text(text, encoding="utf-8")
        try:
            validate_stack(trial, name)
        except SettingsError as exc:
            raise SettingsError(
                f"The file of {name} would be invalid and was not written",
                problems=exc.problems,
                next_step=exc.next_step,
            ) from exc
