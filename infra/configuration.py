"""Turns Pulumi's configuration into bedplate.settings, and keeps a stack out of every account but its own."""

from __future__ import annotations

import json
from pathlib import Path

import pulumi

from bedplate.errors import SettingsError
from bedplate.settings import StackSettings, stack_settings
from bedplate.workflows.stacks.validation import require_sound


def read_settings(stack: str) -> StackSettings:
    """The stack's settings; Pulumi hands lists and mappings over as JSON text, everything else as plain text.

    Raises SettingsError with one line per fault.
    """
    config = {
        key: json.loads(value) if isinstance(value, str) and value[:1] in ("[", "{") else value
        for key, value in pulumi.runtime.config.CONFIG.get().items()
    }
    project_dir = Path(__file__).parents[1]
    if (project_dir / "stacks" / f"Pulumi.{stack}.yaml").exists():
        require_sound(project_dir, stack)  # the same faults, and the models', with their lines
    return stack_settings(config, source=f"stacks/Pulumi.{stack}.yaml")


def check_account(account_id: str, settings: StackSettings) -> str:
    """The account at work; SettingsError when the stack file names another."""
    if settings.account_id not in (None, account_id):
        raise SettingsError(
            f"These credentials are of account {account_id}, the stack file's account_id is {settings.account_id}",
            next_step="aws sts get-caller-identity",
        )
    return account_id
