"""Stack files and model.yaml: what is accepted, and how a fault is told."""

from pathlib import Path

import pytest
import yaml

from bedplate.errors import NotFound, SettingsError
from bedplate.settings import ModelSpec, load_model, load_models, load_stack, parse

REPOSITORY = Path(__file__).parents[2]
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


def write_stack(project: Path, over: dict, name: str = "dev") -> None:
    config = {
        "aws:region": "eu-west-1",
        "bedplate:target": "aws",
        "bedplate:owner": "a@b.example",
        "bedplate:cost_center": "ml",
        "bedplate:models": ["churn"],
        "bedplate:budget": {"monthly_usd": 5},
        "bedplate:alerts": {"emails": ["f@b.example"]},
    }
    (project / "stacks" / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump({"config": config | over}))


def write_model(project: Path, over: dict) -> None:
    (project / "models" / "churn" / "model.yaml").write_text(yaml.safe_dump(MODEL | over))


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_every_shipped_stack_and_its_models_are_valid(stack: str) -> None:
    settings = load_stack(REPOSITORY, stack)
    for model in settings.models:
        assert load_model(REPOSITORY, model, settings, stack=stack).name == model


def test_a_valid_stack_is_read_with_its_region(project: Path) -> None:
    assert load_stack(project, "dev").region == "eu-west-1"


def test_an_unknown_stack_lists_those_that_exist(project: Path) -> None:
    with pytest.raises(NotFound, match=r"no stack 'prod'.*there are: dev"):
        load_stack(project, "prod")


def test_all_faults_of_a_stack_file_are_told_at_once_with_file_and_key(project: Path) -> None:
    write_stack(project, {"bedplate:budget": {"monthly_usd": "much"}, "bedplate:colour": "red", "aws:region": "moon"})
    with pytest.raises(SettingsError) as caught:
        load_stack(project, "dev")
    text = str(caught.value)
    assert "3 faults" in text
    assert "stacks/Pulumi.dev.yaml: budget.monthly_usd: input should be a valid number" in text
    assert "stacks/Pulumi.dev.yaml: colour: unknown key" in text
    assert "region" in text
    assert "moon" in text


def test_yaml_that_does_not_parse_is_told_with_its_line(project: Path) -> None:
    (project / "stacks" / "Pulumi.dev.yaml").write_text("config:\n  a: [1\n  b: 2\n")
    with pytest.raises(SettingsError, match="line 3"):
        load_stack(project, "dev")


def test_overrides_must_name_a_model_of_the_stack(project: Path) -> None:
    write_stack(project, {"bedplate:overrides": {"fraud": {}}})
    with pytest.raises(SettingsError, match="overrides names 'fraud'"):
        load_stack(project, "dev")


def test_overrides_change_a_nested_key_and_nothing_beside_it(project: Path) -> None:
    write_model(project, {"rollout": {"canary_pct": 20, "bake_s": 300}})
    write_stack(project, {"bedplate:overrides": {"churn": {"rollout": {"bake_s": 5}}}})
    spec = load_model(project, "churn", load_stack(project, "dev"), stack="dev")
    assert (spec.rollout.bake_s, spec.rollout.canary_pct) == (5, 20)


def test_a_fault_in_an_override_names_the_stack_file(project: Path) -> None:
    write_stack(project, {"bedplate:overrides": {"churn": {"rollout": {"bake_s": -1}}}})
    with pytest.raises(SettingsError, match=r"stacks/Pulumi\.dev\.yaml"):
        load_model(project, "churn", load_stack(project, "dev"), stack="dev")


def test_an_unknown_model_lists_those_that_exist(project: Path) -> None:
    with pytest.raises(NotFound, match=r"no model 'fraud'.*there are: churn"):
        load_model(project, "fraud")


def test_the_faults_of_all_models_of_a_stack_are_told_at_once(project: Path) -> None:
    write_model(project, {"risk": "none"})
    write_stack(project, {"bedplate:models": ["churn", "ghost"]})
    with pytest.raises(SettingsError, match="2 models of stack 'dev'") as told:
        load_models(project, load_stack(project, "dev"), stack="dev")
    assert "models/churn/model.yaml: risk" in told.value.message
    assert "'ghost'" in told.value.message
    assert told.value.next_step == "bedplate models check"


def test_a_model_is_called_as_its_folder(project: Path) -> None:
    write_model(project, {"name": "fraud"})
    with pytest.raises(SettingsError, match="expected 'churn'"):
        load_model(project, "churn")


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"risk": "none"}, "risk: input should be 'low', 'medium' or 'high'"),
        ({"fallback": 3}, "fallback is a probability"),
        ({"gates": {"segments": [{"by": "town", "metric": "auc", "min": 0.5}]}}, "gates.segments names 'town'"),
        ({"monitors": {"features": ["height"]}}, "monitors.features names 'height'"),
        ({"gates": {"thresholds": [{"metric": "auc"}]}}, "exactly one of min and max"),
        ({"serving": {"instance_count": 1, "min_instances": 1}}, "instance_count must be at least 2"),
        ({"serving": {"instance_count": 9}}, "min_instances <= instance_count <= max_instances"),
        ({"rollout": {"canary_pct": 80}}, "rollout.canary_pct: input should be less than or equal to 50"),
        ({"data": {"columns": {"a": {"type": "number"}}}}, "1 to 1 columns with role 'label' expected, found 0"),
        ({"retire_on": "soon"}, "retire_on"),
    ],
)
def test_a_fault_of_a_model_is_told_by_key_and_expectation(over: dict, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(ModelSpec, MODEL | over, source="models/churn/model.yaml")
    assert told in str(caught.value)
    assert caught.value.problems[0].startswith("models/churn/model.yaml: ")


def test_column_bounds_must_fit_the_type() -> None:
    columns = MODEL["data"]["columns"] | {"plan": {"type": "string", "min": 3}}
    with pytest.raises(SettingsError, match="min and max are for numbers"):
        parse(ModelSpec, MODEL | {"data": {"columns": columns}}, source="x")


def test_a_retirement_date_may_be_a_yaml_date() -> None:
    import datetime

    spec = parse(ModelSpec, MODEL | {"retire_on": datetime.date(2027, 1, 31)}, source="x")
    assert spec.retire_on == "2027-01-31"


def test_roles_tell_features_keys_label_and_segments_apart() -> None:
    data = parse(ModelSpec, MODEL, source="x").data
    assert (data.features, data.keys, data.label, data.time, data.segments) == (("age",), ("id",), "left", None, ())
