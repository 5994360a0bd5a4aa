"""Runs the platform program under Pulumi's mocks and records its resources and exports."""

from __future__ import annotations

import asyncio
import contextvars
import json
import runpy
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import a_spec
from repository import ROOT

ACCOUNT = "123456789012"
REGION = "us-east-1"


@dataclass(frozen=True)
class RegisteredResource:
    """A resource that the program has registered, with its inputs."""

    type: str
    name: str
    inputs: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.type} {self.name}"

    def document(self, key: str = "policy") -> list[dict[str, Any]]:
        """Returns the statements of the policy document in this input."""
        return list(json.loads(self.inputs[key])["Statement"])


@dataclass
class Program:
    """The resources and exports of one run of the program."""

    project: str
    stack: str
    resources: list[RegisteredResource] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)

    def of_type(self, type_end: str) -> list[RegisteredResource]:
        """Returns all resources whose type ends with `type_end`. Fails when there are none."""
        resources = [r for r in self.resources if r.type.endswith(type_end)]
        assert resources, f"the program registers no {type_end}"
        return resources

    def has(self, type_end: str) -> bool:
        return any(r.type.endswith(type_end) for r in self.resources)


def _mocks(program: Program) -> Any:
    import pulumi

    class Recorder(pulumi.runtime.Mocks):
        def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
            if args.typ.startswith("aws:"):
                program.resources.append(RegisteredResource(args.typ, args.name, dict(args.inputs)))
            service = args.typ.split(":")[1].split("/")[0] if ":" in args.typ else "x"
            outputs = {
                "arn": f"arn:aws:{service}:{REGION}:{ACCOUNT}:{args.name}",
                "name": f"{args.name}-1a2b3c4",
                "keyId": "1234abcd",
                "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{args.name}",
            }
            state = {**outputs, **args.inputs}
            return f"{args.name}-id", state

        def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
            assert args.token == "aws:index/getCallerIdentity:getCallerIdentity"
            return {"accountId": ACCOUNT, "arn": "arn:aws:iam::1:root", "id": ACCOUNT, "userId": "u"}

    return Recorder()


def run_program(project_dir: Path, stack: str, config: dict[str, Any]) -> Program:
    """Runs `infra/` of the project with this configuration; exceptions of the program are raised."""
    with warnings.catch_warnings():
        # pulumi_aws itself warns about its own names when it is imported.
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=r".* has been deprecated in favor of ")
        return contextvars.copy_context().run(_run, project_dir, stack, config)


def _run(project_dir: Path, stack: str, config: dict[str, Any]) -> Program:
    import pulumi
    from pulumi.runtime.stack import run_pulumi_func

    program, modules_before, real_export = Program("bedplate", stack), set(sys.modules), pulumi.export

    def export(name: str, value: Any) -> None:
        pulumi.Output.from_input(value).apply(lambda resolved: program.exports.__setitem__(name, resolved))

    async def main() -> None:
        pulumi.runtime.set_mocks(_mocks(program), project=program.project, stack=stack, preview=False)
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
        pulumi.runtime.set_all_config(texts)
        await run_pulumi_func(lambda: runpy.run_path(str(project_dir / "infra"), run_name="__main__"))

    new_loop, loops = asyncio.new_event_loop, []

    def new_recorded_loop() -> asyncio.AbstractEventLoop:
        loops.append(new_loop())
        return loops[-1]

    try:
        pulumi.export, asyncio.new_event_loop = export, new_recorded_loop
        with asyncio.Runner() as runner:
            runner.run(main())
    finally:
        pulumi.export, asyncio.new_event_loop = real_export, new_loop
        for loop in loops:  # Pulumi's mock monitor creates one in each of its threads and leaves it open
            loop.close()
        for name in set(sys.modules) - modules_before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(project_dir / "infra")):
                del sys.modules[name]
    return program


@pytest.fixture(scope="session")
def a_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the repository's program and two models, `churn` and `prices`."""
    project = tmp_path_factory.mktemp("project")
    (project / "infra").symlink_to(ROOT / "infra")
    changes = {"rollout": {"strategy": "linear"}, "serving": {"instance_type": "ml.g5.xlarge"}}
    for spec in (a_spec("churn"), a_spec("prices", **changes)):
        folder = project / "models" / spec.name
        folder.mkdir(parents=True)
        (folder / "model.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json", exclude_none=True)))
    return project


def a_config(**changes: Any) -> dict[str, Any]:
    """Returns the `config` of a stack file, with `changes` under the `bedplate:` keys."""
    values = {
        "target": "aws",
        "owner": "platform@example.com",
        "cost_center": "ml",
        "models": ["churn", "prices"],
        "budget": {"monthly_usd": 1000},
        "alerts": {"emails": ["finance@example.com", "ops@example.com"]},
        **changes,
    }
    return {"aws:region": REGION, **{f"bedplate:{key}": value for key, value in values.items()}}


@pytest.fixture(scope="session")
def run_stack(a_project: Path) -> Callable[..., Program]:
    """Runs the program for a stack and changes of its configuration, once for each combination."""
    programs: dict[str, Program] = {}

    def run(stack: str = "prod", **changes: Any) -> Program:
        key = json.dumps([stack, changes], sort_keys=True)
        if key not in programs:
            programs[key] = run_program(a_project, stack, a_config(**changes))
        return programs[key]

    return run


@pytest.fixture
def prod(run_stack: Callable[..., Program]) -> Program:
    return run_stack("prod")


@pytest.fixture
def local(run_stack: Callable[..., Program]) -> Program:
    return run_stack("local", target="local", storage={"force_destroy": True})
