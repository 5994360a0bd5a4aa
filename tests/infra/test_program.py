"""The program as a whole: its exports, its configuration, and every stack of the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from bedplate.domain import names
from bedplate.errors import SettingsError
from bedplate.settings import PlatformOutputs
from repository import ROOT

from .conftest import ACCOUNT, Program, a_config, run_program


def test_exports_are_the_fields_of_platform_outputs_and_validate(prod: Program) -> None:
    assert set(prod.exports) == set(PlatformOutputs.model_fields)
    outputs = PlatformOutputs.model_validate(prod.exports)
    assert outputs.models == ("churn", "prices")
    assert outputs.ledger_bucket == names.bucket("bedplate", "prod", "ledger", ACCOUNT)
    assert set(outputs.persona_role_arns) == set(names.PERSONAS)


def test_the_parameter_holds_the_exports(prod: Program) -> None:
    (parameter,) = prod.of_type("ssm/parameter:Parameter")
    assert parameter.inputs["name"] == names.outputs_parameter("bedplate", "prod")
    text = parameter.inputs["value"]["value"]  # the SDK wraps every parameter's value as a secret
    assert json.loads(text) == prod.exports


def test_the_name_of_release_zero_contains_its_version(prod: Program) -> None:
    for model, release in prod.exports["fallback_releases"].items():
        assert release.startswith(f"bedplate-prod-{model}-v0-")
        assert names.parse_release_version(release) == 0


def test_credentials_of_another_account_are_rejected(a_project: Path) -> None:
    with pytest.raises(SettingsError, match="999999999999"):
        run_program(a_project, "prod", a_config(account_id="999999999999"))


def test_an_unknown_key_of_the_stack_file_is_rejected(a_project: Path) -> None:
    with pytest.raises(SettingsError, match="bucketz: unknown key"):
        run_program(a_project, "prod", a_config(bucketz=1))


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_every_stack_of_the_repository_runs(stack: str) -> None:
    config = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text())["config"]
    program = run_program(ROOT, stack, config)
    assert PlatformOutputs.model_validate(program.exports).stack == stack
