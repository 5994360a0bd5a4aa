"""A stack of the real program with one model, up on a local platform of its own: each test leaves it as it found it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.local import lifecycle
from builders import a_spec
from command_line import CommandResult, run_bedplate
from platform_client import client_of
from repository import ROOT


@dataclass(frozen=True)
class Site:
    """The model is `churn`; commands are typed in this process, inside `at_home`."""

    project: Path
    url: str

    def run(self, *args: str) -> CommandResult:
        return run_bedplate(*args)

    def client(self, service: str) -> Any:
        return client_of(self.url, service)

    def configure(self, **changes: Any) -> None:
        """Write the stack file with these keys changed; nothing is lost with it unless a test says otherwise."""
        values = {
            "target": "local",
            "owner": "platform@example.com",
            "cost_center": "ml",
            "models": ["churn"],
            "budget": {"monthly_usd": 1000},
            "alerts": {"emails": ["ops@example.com"]},
            "storage": {"force_destroy": True},
            **changes,
        }
        config = {"aws:region": "us-east-1", **{f"bedplate:{key}": value for key, value in values.items()}}
        (self.project / "stacks" / "Pulumi.local.yaml").write_text(yaml.safe_dump({"config": config}))

    def model(self, **changes: Any) -> None:
        """Write model.yaml with these keys changed."""
        spec = a_spec("churn", **changes).model_dump(mode="json", exclude_none=True)
        (self.project / "models" / "churn" / "model.yaml").write_text(yaml.safe_dump(spec))


@contextmanager
def at_home(project: Path) -> Iterator[None]:
    """Commands typed in this process are about this project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDPLATE_PROJECT", str(project))
        for name in ("BEDPLATE_STATE_DIR", "BEDPLATE_STACK"):
            patch.delenv(name, raising=False)
        yield


@contextmanager
def start_site(project: Path) -> Iterator[Site]:
    """`up` in an empty folder; the platform stops in the end."""
    (project / "stacks").mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", project)
    shutil.copytree(ROOT / "infra", project / "infra")
    (project / "models" / "churn").mkdir(parents=True)
    created = Site(project, str(lifecycle.start(project, port=0).url))
    try:
        created.configure()
        created.model()
        with at_home(project):
            up = created.run("up", "--json")
        assert up.code == 0, up.stderr
        yield created
    finally:
        lifecycle.stop(project)
