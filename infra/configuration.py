"""Reads the stack's settings from Pulumi's configuration, and checks the AWS account of the credentials."""

from __future__ import annotations

import json
from pathlib import Path

import pulumi

from bedplate.errors import SettingsError
from bedplate.settings import StackSettings, parse_stack
from bedplate.workflows.stacks.validation import validate_stack


def read_settings(stack: str) -> StackSettings:
    """Returns the stack's settings. Pulumi passes lists and mappings as JSON text, all other values as plain text.

    Raises SettingsError with one line per error.
    """
    config = {
        key: json.loads(value) if isinstance(value, str) and value[:1] in ("[", "{") else value
        for key, value in pulumi.runtime.config.CONFIG.get().items()
    }
    project_dir = Path(__file__).parents[1]
    if (project_dir / "stacks" / f"Pulumi.{stack}.yaml").exists():
        validate_stack(project_dir, stack)  # the same errors with their lines, and those of the models
    return parse_stack(config, source=f"stacks/Pulumi.{stack}.yaml")


def check_account(account_id: str, settings: StackSettings) -> str:
    """Returns `account_id`. Raises SettingsError when the stack file has another one."""
    if settings.account_id not in (None, account_id):
        expected = f"the stack file's account_id is {settings.account_id}"
        raise SettingsError(
            f"These credentials belong to account {account_id}, but {expected}", next_step="aws sts get-caller-identity"
        )
    return account_id
