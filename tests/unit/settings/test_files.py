"""Stack files and model.yaml: which values are accepted, and how errors are reported."""

import re
from pathlib import Path

import pytest
import yaml

from bedplate import __version__
from bedplate.errors import NotFound, SettingsError
from bedplate.settings import ModelSpec, load_model, load_models, load_stack, parse, positions, read_yaml
from bedplate.workflows.stacks.validation import validate_stack
from repository import ROOT

MODEL = {
    "name": "churn",
    "owner": "a@b.example",
    "on_call": "c@d.example",
    "description": "Who leaves?",
    "intended_use": "offers",
    "excluded_use": "prices",
    "risk": "low",
    "fallback": 0.2,
    "data": {
        "columns": {
            "id": {"type": "string", "role": "key"},
            "age": {"type": "integer", "min": 0},
            "left": {"type": "boolean", "role": "label"},
        }
    },
    "budget": {"monthly_usd": 10},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "models" / "churn").mkdir(parents=True)
    write_stack(tmp_path, {})
    write_model(tmp_path, {})
    return tmp_path


def write_stack(project: Path, changes: dict, name: str = "dev") -> None:
    config = {
        "aws:region": "eu-west-1",
        "bedplate:target": "aws",
        "bedplate:owner": "a@b.example",
        "bedplate:cost_center": "ml",
        "bedplate:models": ["churn"],
        "bedplate:budget": {"monthly_usd": 5},
        "bedplate:alerts": {"emails": ["f@b.example"]},
    }
    (project / "stacks" / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump({"config": config | changes}))


def write_model(project: Path, changes: dict) -> None:
    (project / "models" / "churn" / "model.yaml").write_text(yaml.safe_dump(MODEL | changes))


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_every_shipped_stack_and_its_models_are_valid(stack: str) -> None:
    settings = load_stack(ROOT, stack)
    for model in settings.models:
        assert load_model(ROOT, model, settings, stack=stack).name == model


def test_a_valid_stack_is_read_with_its_region(project: Path) -> None:
    assert load_stack(project, "dev").region == "eu-west-1"


def test_an_unknown_stack_lists_those_that_exist(project: Path) -> None:
    with pytest.raises(NotFound, match=r"no stack 'prod'.*existing stacks: dev"):
        load_stack(project, "prod")


def test_all_errors_of_a_stack_file_are_reported_at_once_with_file_and_key(project: Path) -> None:
    write_stack(project, {"bedplate:budget": {"monthly_usd": "much"}, "bedplate:colour": "red", "aws:region": "moon"})
    with pytest.raises(SettingsError) as caught:
        load_stack(project, "dev")
    text = str(caught.value)
    assert "3 errors" in text
    assert "stacks/Pulumi.dev.yaml:7:5: budget.monthly_usd: input should be a valid number" in text
    assert "stacks/Pulumi.dev.yaml:8:3: colour: unknown key" in text
    assert "region" in text
    assert "moon" in text


def test_invalid_yaml_is_reported_with_its_line(project: Path) -> None:
    (project / "stacks" / "Pulumi.dev.yaml").write_text("config:\n  a: [1\n  b: 2\n")
    message = r"^stacks/Pulumi.dev.yaml:3:4: not valid YAML: while parsing a flow sequence"
    with pytest.raises(SettingsError, match=message):
        load_stack(project, "dev")
    with pytest.raises(SettingsError) as caught:
        validate_stack(project, "dev")
    assert caught.value.next_step == "$EDITOR stacks/Pulumi.dev.yaml, then the same command again"


def test_another_format_is_rejected_with_the_format_that_is_read(project: Path) -> None:
    write_stack(project, {"bedplate:format": 2})
    write_model(project, {"format": 3})
    stack, model = errors_of(project)
    reads = f"but Bedplate {__version__} reads format 1"
    assert re.fullmatch(rf"stacks/Pulumi\.dev\.yaml:\d+:3: format: found format 2, {reads}", stack)
    assert re.fullmatch(rf"models/churn/model\.yaml:\d+:1: format: found format 3, {reads}", model)


def test_overrides_must_name_a_model_of_the_stack(project: Path) -> None:
    write_stack(project, {"bedplate:overrides": {"fraud": {}}})
    with pytest.raises(SettingsError, match="overrides names 'fraud'"):
        load_stack(project, "dev")


def test_an_override_of_a_nested_key_keeps_the_keys_beside_it(project: Path) -> None:
    write_model(project, {"rollout": {"canary_pct": 20, "bake_s": 300}})
    write_stack(project, {"bedplate:overrides": {"churn": {"rollout": {"bake_s": 5}}}})
    spec = load_model(project, "churn", load_stack(project, "dev"), stack="dev")
    assert (spec.rollout.bake_s, spec.rollout.canary_pct) == (5, 20)


def test_an_error_in_an_override_names_the_stack_file(project: Path) -> None:
    write_stack(project, {"bedplate:overrides": {"churn": {"rollout": {"bake_s": -1}}}})
    with pytest.raises(SettingsError, match=r"stacks/Pulumi\.dev\.yaml"):
        load_model(project, "churn", load_stack(project, "dev"), stack="dev")


def test_an_unknown_model_lists_those_that_exist(project: Path) -> None:
    with pytest.raises(NotFound, match=r"no model 'fraud'.*existing models: churn"):
        load_model(project, "fraud")


def test_the_errors_of_all_models_of_a_stack_are_reported_at_once(project: Path) -> None:
    write_model(project, {"risk": "none"})
    write_stack(project, {"bedplate:models": ["churn", "ghost"]})
    with pytest.raises(SettingsError, match="2 models of stack 'dev' have errors") as caught:
        load_models(project, load_stack(project, "dev"), stack="dev")
    assert "models/churn/model.yaml:21:1: risk" in caught.value.message
    assert "'ghost'" in caught.value.message
    assert caught.value.next_step == "bedplate models check"


def test_a_models_name_must_be_the_name_of_its_folder(project: Path) -> None:
    write_model(project, {"name": "fraud"})
    with pytest.raises(SettingsError, match="expected 'churn'"):
        load_model(project, "churn")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"risk": "none"}, "risk: input should be 'low', 'medium' or 'high'"),
        ({"fallback": 3}, "fallback is a probability"),
        ({"gates": {"segments": [{"column": "town", "metric": "auc", "min": 0.5}]}}, "gates.segments names 'town'"),
        ({"monitors": {"features": ["height"]}}, "monitors.features names 'height'"),
        ({"gates": {"thresholds": [{"metric": "auc"}]}}, "exactly one of min and max"),
        ({"serving": {"instance_count": 1, "min_instances": 1}}, "instance_count must be at least 2"),
        ({"serving": {"instance_count": 9}}, "min_instances <= instance_count <= max_instances"),
        ({"rollout": {"canary_pct": 80}}, "rollout.canary_pct: input should be less than or equal to 50"),
        ({"data": {"columns": {"a": {"type": "number"}}}}, "expected 1 to 1 columns with role 'label', found 0"),
        ({"retire_on": "soon"}, "retire_on"),
    ],
)
def test_an_error_of_a_model_names_key_and_expected_value(changes: dict, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(ModelSpec, MODEL | changes, source="models/churn/model.yaml")
    assert message in str(caught.value)
    assert caught.value.problems[0].startswith("models/churn/model.yaml: ")


def test_column_bounds_must_fit_the_type() -> None:
    columns = MODEL["data"]["columns"] | {"plan": {"type": "string", "min": 3}}
    with pytest.raises(SettingsError, match="min and max are for numbers"):
        parse(ModelSpec, MODEL | {"data": {"columns": columns}}, source="x")


def test_a_retirement_date_may_be_a_yaml_date() -> None:
    import datetime

    spec = parse(ModelSpec, MODEL | {"retire_on": datetime.date(2027, 1, 31)}, source="x")
    assert spec.retire_on == "2027-01-31"


def test_roles_determine_features_keys_label_and_segments() -> None:
    data = parse(ModelSpec, MODEL, source="x").data
    assert (data.features, data.keys, data.label, data.time, data.segments) == (("age",), ("id",), "left", None, ())


def errors_of(project: Path, stack: str = "dev") -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        validate_stack(project, stack)
    return caught.value.problems


def test_errors_of_stack_model_and_region_are_reported_together_with_their_lines(project: Path) -> None:
    (project / "stacks" / "Pulumi.dev.yaml").write_text(
        """config:
  aws:region: eu-south-1
  bedplate:target: aws
  bedplate:owner: a@b.example
  bedplate:cost_center: ml
  bedplate:models: [churn, ghost]
  bedplate:budget:
    monthly_usd: 5
  bedplate:alerts:
    emails: [f@b.example]
  bedplate:overrides:
    churn:
      serving: {instance_type: ml.g5.xlarge}
      rollout:
        strategi: linear
"""
    )
    write_model(project, {"fallback": 3, "serving": {"instance_type": "ml.m5.large", "max_instances": "many"}})
    problems = errors_of(project)
    assert {line.split(": ")[0] for line in problems} == {
        "stacks/Pulumi.dev.yaml:6:28",
        "stacks/Pulumi.dev.yaml:13:17",
        "stacks/Pulumi.dev.yaml:15:9",
        "models/churn/model.yaml:16:1",
        "models/churn/model.yaml:24:3",
    }
    text = "\n".join(problems)
    assert "15:9: rollout.strategi: unknown key, did you mean strategy?" in text
    assert "24:3: serving.max_instances: input should be a valid integer" in text
    assert "16:1: fallback: a fallback is a probability" in text  # although the other two hide it from pydantic
    assert "13:17: serving.instance_type: region eu-south-1 has no ml.g5.xlarge" in text
    assert "'ghost'" in text


def test_an_instance_type_that_the_region_lacks_is_an_error_at_its_line(project: Path) -> None:
    write_stack(project, {"aws:region": "eu-south-1", "bedplate:overrides": {"churn": {"serving": {}}}})
    write_model(project, {"serving": {"instance_type": "ml.g5.xlarge"}})
    (problem,) = errors_of(project)
    assert problem.startswith("models/churn/model.yaml:23:3: serving.instance_type: ")
    assert "eu-south-1 has no ml.g5.xlarge" in problem
    write_stack(project, {"aws:region": "eu-south-1", "bedplate:available_instance_types": ["ml.g5.xlarge"]})
    assert validate_stack(project, "dev").warnings == ()


def test_a_region_that_is_not_in_the_table_is_reported_as_unknown(project: Path) -> None:
    write_stack(project, {"aws:region": "us-gov-west-1"})
    unknown = validate_stack(project, "dev").warnings
    assert len(unknown) == 2
    assert "it is not known whether us-gov-west-1 offers ml.m5.large" in unknown[1]


def test_errors_of_the_stack_file_do_not_hide_errors_of_its_models(project: Path) -> None:
    write_stack(project, {"bedplate:target": "asw", "bedplate:overrides": {"fraud": {}}})
    write_model(project, {"risk": "hihg"})
    problems = errors_of(project)
    assert any("target: input should be 'local' or 'aws' (found 'asw')" in line for line in problems)
    assert any("overrides names 'fraud'" in line for line in problems)
    assert any("did you mean high?" in line for line in problems)
    assert len(problems) == 3


def test_errors_of_the_stack_file_do_not_hide_errors_of_overrides_and_region(project: Path) -> None:
    overrides = {"churn": {"serving": {"instance_type": "ml.g5.xlarge"}, "rollout": {"bake_s": "soon"}}}
    invalid = {"bedplate:target": "asw", "bedplate:models": ["churn", "ghost"], "bedplate:overrides": overrides}
    write_stack(project, {"aws:region": "eu-south-1", **invalid})
    problems = errors_of(project)
    text = "\n".join(problems)
    for part in ("'asw'", "rollout.bake_s: input should be a valid integer", "eu-south-1 has no ml.g5.xlarge"):
        assert part in text
    assert len(problems) == 4
    assert all(line.startswith("stacks/Pulumi.dev.yaml:") and line.split(":")[1].isdigit() for line in problems)


def test_instance_types_are_not_checked_against_an_invalid_region(project: Path) -> None:
    write_stack(project, {"aws:region": "moon"})
    write_model(project, {"serving": {"instance_type": "ml.nosuch.large"}})
    (problem,) = errors_of(project)
    assert "region: string should match" in problem


def test_an_error_that_follows_from_another_one_is_not_reported(project: Path) -> None:
    columns = MODEL["data"]["columns"] | {"plan": {"type": "strng"}}
    write_model(project, {"data": {"columns": columns}, "monitors": {"features": ["plan"]}})
    (problem,) = errors_of(project)
    assert "data.columns.plan.type" in problem


def test_a_duplicate_key_is_an_error(project: Path) -> None:
    path = project / "stacks" / "Pulumi.dev.yaml"
    path.write_text(path.read_text() + "  bedplate:owner: c@d.example\n")
    (problem,) = errors_of(project)
    assert "owner: duplicate key, first given in line" in problem


def test_all_contradictions_between_values_are_reported_at_once(project: Path) -> None:
    contradictions = {
        "gates": {"thresholds": [{"metric": "rmse", "max": 1}]},
        "monitors": {"psi_warn": 0.5, "features": ["height"]},
        "serving": {"instance_count": 1, "min_instances": 1},
    }
    write_model(project, contradictions)
    text = "\n".join(errors_of(project))
    for part in ("no metric of task 'binary'", "above psi_alert", "'height'", "at least 2"):
        assert part in text


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_every_shipped_stack_passes_validation(stack: str) -> None:
    assert validate_stack(ROOT, stack).warnings == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"unique": [["age"], ["height"]]}, "data.unique.1: expected names of columns, found height"),
        ({"columns": {"age": {"type": "integer", "max_null_pct": 5}}}, "max_null_pct is for nullable columns"),
        ({"columns": {"age": {"type": "integer", "max_category_shift": 0.1}}}, "is for strings and booleans"),
        ({"columns": {"age": {"type": "integer", "purposes": ["inference"]}}}, "role 'feature' is used for training"),
        (
            {"columns": {"id": {"type": "string", "role": "key", "purposes": []}}},
            "training and inference and monitoring",
        ),
    ],
)
def test_a_data_contract_that_contradicts_itself_is_rejected(project: Path, data: dict, message: str) -> None:
    contract = MODEL["data"] | data
    write_model(project, {"data": contract | {"columns": MODEL["data"]["columns"] | data.get("columns", {})}})
    with pytest.raises(SettingsError) as caught:
        load_model(project, "churn")
    assert message in str(caught.value)


def test_a_monitored_feature_must_have_the_purpose_monitoring(project: Path) -> None:
    columns = MODEL["data"]["columns"] | {"age": {"type": "integer", "purposes": ["training", "inference"]}}
    write_model(project, {"data": {"columns": columns}, "monitors": {"features": ["age"]}})
    with pytest.raises(SettingsError, match=r"monitors\.features names 'age', whose purposes do not allow monitoring"):
        load_model(project, "churn")


def test_changing_the_values_of_a_file_does_not_change_the_cached_ones(project: Path) -> None:
    path = project / "stacks" / "Pulumi.dev.yaml"
    read_yaml(path)["config"]["bedplate:models"].append("another")
    assert "another" not in read_yaml(path)["config"]["bedplate:models"]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: {c: [x, {d: 2}]}\n",
        "é: ü\n日本: {ä: [1,\n  2]}\n? k\n: |\n  long\n  text\nz: &same [1]\ny: *same\n",
        "",
        *((ROOT / name).read_text() for name in ("stacks/Pulumi.prod.yaml", "models/flight-delay/model.yaml")),
    ],
)
def test_libyaml_and_the_pure_python_parser_find_the_same_places(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    positions._locate.cache_clear()
    fast = positions.locate_keys(text, "x.yaml")
    positions._locate.cache_clear()
    monkeypatch.setattr(positions, "yaml_loader", lambda: yaml.SafeLoader)
    assert fast == positions.locate_keys(text, "x.yaml")
    assert fast.places or not text
