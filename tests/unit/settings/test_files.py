"""Stack files and model.yaml: what is accepted, and how a fault is told."""

from pathlib import Path

import pytest
import yaml

from bedplate.errors import NotFound, SettingsError
from bedplate.settings import ModelSpec, load_model, load_models, load_stack, parse, positions, read_yaml
from bedplate.workflows.stacks.validation import require_sound
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
    settings = load_stack(ROOT, stack)
    for model in settings.models:
        assert load_model(ROOT, model, settings, stack=stack).name == model


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
    assert "stacks/Pulumi.dev.yaml:7:5: budget.monthly_usd: input should be a valid number" in text
    assert "stacks/Pulumi.dev.yaml:8:3: colour: unknown key" in text
    assert "region" in text
    assert "moon" in text


def test_yaml_that_does_not_parse_is_told_with_its_line(project: Path) -> None:
    (project / "stacks" / "Pulumi.dev.yaml").write_text("config:\n  a: [1\n  b: 2\n")
    told = r"^stacks/Pulumi.dev.yaml:3:4: not valid YAML: while parsing a flow sequence"
    with pytest.raises(SettingsError, match=told):
        load_stack(project, "dev")
    with pytest.raises(SettingsError) as caught:
        require_sound(project, "dev")
    assert caught.value.next_step == "$EDITOR stacks/Pulumi.dev.yaml, then the same again"


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
    assert "models/churn/model.yaml:21:1: risk" in told.value.message
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


def faults_of(project: Path, stack: str = "dev") -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        require_sound(project, stack)
    return caught.value.problems


def test_faults_of_stack_model_and_region_are_told_together_with_their_lines(project: Path) -> None:
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
    told = faults_of(project)
    assert {line.split(": ")[0] for line in told} == {
        "stacks/Pulumi.dev.yaml:6:28",
        "stacks/Pulumi.dev.yaml:13:17",
        "stacks/Pulumi.dev.yaml:15:9",
        "models/churn/model.yaml:16:1",
        "models/churn/model.yaml:24:3",
    }
    said = "\n".join(told)
    assert "15:9: rollout.strategi: unknown key, did you mean strategy?" in said
    assert "24:3: serving.max_instances: input should be a valid integer" in said
    assert "16:1: fallback: a fallback is a probability" in said  # although the other two hide it from pydantic
    assert "13:17: serving.instance_type: region eu-south-1 has no ml.g5.xlarge" in said
    assert "'ghost'" in said


def test_a_region_without_the_instance_type_is_a_fault_where_the_type_is_named(project: Path) -> None:
    write_stack(project, {"aws:region": "eu-south-1", "bedplate:overrides": {"churn": {"serving": {}}}})
    write_model(project, {"serving": {"instance_type": "ml.g5.xlarge"}})
    (told,) = faults_of(project)
    assert told.startswith("models/churn/model.yaml:23:3: serving.instance_type: region eu-south-1 has no ml.g5.xlarge")
    write_stack(project, {"aws:region": "eu-south-1", "bedplate:available_instance_types": ["ml.g5.xlarge"]})
    assert require_sound(project, "dev").unknown == ()


def test_a_region_that_the_table_does_not_know_is_said_to_be_unknown(project: Path) -> None:
    write_stack(project, {"aws:region": "us-gov-west-1"})
    unknown = require_sound(project, "dev").unknown
    assert len(unknown) == 2
    assert "whether us-gov-west-1 has ml.m5.large is not known here" in unknown[1]


def test_a_faulty_stack_file_does_not_hide_the_faults_of_its_models(project: Path) -> None:
    write_stack(project, {"bedplate:target": "asw", "bedplate:overrides": {"fraud": {}}})
    write_model(project, {"risk": "hihg"})
    told = faults_of(project)
    assert any("target: input should be 'local' or 'aws' (found 'asw')" in line for line in told)
    assert any("overrides names 'fraud'" in line for line in told)
    assert any("did you mean high?" in line for line in told)
    assert len(told) == 3


def test_a_faulty_stack_file_does_not_hide_what_its_overrides_and_its_region_make_of_a_model(project: Path) -> None:
    over = {"churn": {"serving": {"instance_type": "ml.g5.xlarge"}, "rollout": {"bake_s": "soon"}}}
    faulty = {"bedplate:target": "asw", "bedplate:models": ["churn", "ghost"], "bedplate:overrides": over}
    write_stack(project, {"aws:region": "eu-south-1", **faulty})
    told = faults_of(project)
    said = "\n".join(told)
    for part in ("'asw'", "rollout.bake_s: input should be a valid integer", "region eu-south-1 has no ml.g5.xlarge"):
        assert part in said
    assert len(told) == 4
    assert all(line.startswith("stacks/Pulumi.dev.yaml:") and line.split(":")[1].isdigit() for line in told)


def test_of_a_faulty_region_nobody_says_what_it_lacks(project: Path) -> None:
    write_stack(project, {"aws:region": "moon"})
    write_model(project, {"serving": {"instance_type": "ml.nosuch.large"}})
    (told,) = faults_of(project)
    assert "region: string should match" in told


def test_what_follows_from_another_fault_is_not_told_as_one(project: Path) -> None:
    columns = MODEL["data"]["columns"] | {"plan": {"type": "strng"}}
    write_model(project, {"data": {"columns": columns}, "monitors": {"features": ["plan"]}})
    (told,) = faults_of(project)
    assert "data.columns.plan.type" in told


def test_a_key_given_twice_is_a_fault(project: Path) -> None:
    path = project / "stacks" / "Pulumi.dev.yaml"
    path.write_text(path.read_text() + "  bedplate:owner: c@d.example\n")
    (told,) = faults_of(project)
    assert "owner: given twice, first in line" in told


def test_every_clash_of_values_is_told_at_once(project: Path) -> None:
    clashes = {
        "gates": {"thresholds": [{"metric": "rmse", "max": 1}]},
        "monitors": {"psi_warn": 0.5, "features": ["height"]},
        "serving": {"instance_count": 1, "min_instances": 1},
    }
    write_model(project, clashes)
    told = "\n".join(faults_of(project))
    for part in ("no metric of task 'binary'", "above psi_alert", "'height'", "at least 2"):
        assert part in told


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_every_shipped_stack_is_sound(stack: str) -> None:
    assert require_sound(ROOT, stack).unknown == ()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"unique": [["age"], ["nobody"]]}, "data.unique.1: names of columns expected, found nobody"),
        ({"columns": {"age": {"type": "integer", "max_null_pct": 5}}}, "max_null_pct is for nullable columns"),
        ({"columns": {"age": {"type": "integer", "max_category_shift": 0.1}}}, "is for strings and booleans"),
        ({"columns": {"age": {"type": "integer", "purposes": ["inference"]}}}, "role 'feature' is used for training"),
        (
            {"columns": {"id": {"type": "string", "role": "key", "purposes": []}}},
            "training and inference and monitoring",
        ),
    ],
)
def test_a_data_contract_that_contradicts_itself_is_told(project: Path, data: dict, told: str) -> None:
    contract = MODEL["data"] | data
    write_model(project, {"data": contract | {"columns": MODEL["data"]["columns"] | data.get("columns", {})}})
    with pytest.raises(SettingsError) as caught:
        load_model(project, "churn")
    assert told in str(caught.value)


def test_a_feature_that_must_not_be_monitored_is_not_watched(project: Path) -> None:
    columns = MODEL["data"]["columns"] | {"age": {"type": "integer", "purposes": ["training", "inference"]}}
    write_model(project, {"data": {"columns": columns}, "monitors": {"features": ["age"]}})
    with pytest.raises(SettingsError, match=r"monitors\.features names 'age', whose purposes do not allow monitoring"):
        load_model(project, "churn")


def test_who_reads_a_file_may_change_what_it_was_given(project: Path) -> None:
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
def test_places_are_the_same_by_the_fast_parser_and_by_the_plain_one(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions._composed.cache_clear()
    fast = positions.positions(text, "x.yaml")
    positions._composed.cache_clear()
    monkeypatch.setattr(positions, "fast_loader", lambda: yaml.SafeLoader)
    assert fast == positions.positions(text, "x.yaml")
    assert fast.places or not text
