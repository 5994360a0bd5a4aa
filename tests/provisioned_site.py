"""A project with a copy of the Pulumi program and one model, whose stack is provisioned on its own local platform."""

from __future__ import annotations

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
from program_copy import copy_program


@dataclass(frozen=True)
class Site:
    """A project with the model `churn`, and its running local platform. Commands run inside `site_environment`."""

    project: Path
    url: str

    def run(self, *args: str) -> CommandResult:
        return run_bedplate(*args)

    def client(self, service: str) -> Any:
        return client_of(self.url, service)

    def configure(self, **changes: Any) -> None:
        """Writes the stack file with these keys changed. By default `destroy` may delete all data."""
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

    def write_model(self, **changes: Any) -> None:
        """Writes model.yaml with these keys changed."""
        spec = a_spec("churn", **changes).model_dump(mode="json", exclude_none=True)
        (self.project / "models" / "churn" / "model.yaml").write_text(yaml.safe_dump(spec))


@contextmanager
def site_environment(project: Path) -> Iterator[None]:
    """Makes commands in this process use this project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDPLATE_PROJECT", str(project))
        for name in ("BEDPLATE_STATE_DIR", "BEDPLATE_STACK"):
            patch.delenv(name, raising=False)
        yield


@contextmanager
def start_site(project: Path) -> Iterator[Site]:
    """Writes the project into an empty folder and runs `up`. Stops the platform at the end of the block."""
    copy_program(project, "infra")
    for folder in ("stacks", "models/churn"):
        (project / folder).mkdir(parents=True)
    site = Site(project, str(lifecycle.start(project, port=0).url))
    try:
        site.configure()
        site.write_model()
        with site_environment(project):
            up = site.run("up", "--json")
        assert up.code == 0, up.stderr
        yield site
    finally:
        lifecycle.stop(project)
