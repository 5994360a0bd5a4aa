from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bedplate.errors import NotFound
from bedplate.workflows.versions.models import check_models, find_version, list_models
from builders import a_package, a_spec, a_stack_context, settings

GOOD_TRAIN = "import os\nprint(os.environ['SM_MODEL_DIR'])\n"
GOOD_INFERENCE = "def model_fn(d): ...\ndef predict_fn(rows, model): ...\n"


def folder(
    project: Path, name: str = "churn", *, train: str = GOOD_TRAIN, inference: str | None = GOOD_INFERENCE
) -> Path:
    made = project / "models" / name
    made.mkdir(parents=True)
    (made / "model.yaml").write_text(yaml.safe_dump(a_spec(name).model_dump(mode="json", exclude_defaults=True)))
    (made / "train.py").write_text(train)
    if inference is not None:
        (made / "inference.py").write_text(inference)
    return made


def faults(project: Path) -> list[str]:
    return [fault for c in check_models(project, (), settings(), "local") for fault in c.errors]


def test_a_whole_folder_has_no_faults(tmp_path: Path) -> None:
    folder(tmp_path)
    assert faults(tmp_path) == []


def test_every_fault_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    folder(tmp_path, train="def f(:", inference="def model_fn(d): ...")
    told = faults(tmp_path)
    assert len(told) == 2
    assert told[0].startswith("models/churn/train.py: line 1")
    assert told[1] == "models/churn/inference.py: does not define predict_fn"


def test_a_missing_script_is_told(tmp_path: Path) -> None:
    folder(tmp_path, inference=None)
    assert faults(tmp_path) == ["models/churn/inference.py: does not exist"]


def test_faults_of_the_contract_name_file_key_and_expectation(tmp_path: Path) -> None:
    path = folder(tmp_path) / "model.yaml"
    path.write_text(path.read_text().replace("risk: low", "risk: none\nclour: red"))
    told = faults(tmp_path)
    assert any(f.startswith("models/churn/model.yaml:") and " risk: " in f and "'low'" in f for f in told)
    assert any(f.startswith("models/churn/model.yaml:") and f.endswith(" clour: unknown key") for f in told)


def test_one_broken_model_does_not_hide_another(tmp_path: Path) -> None:
    folder(tmp_path)
    (folder(tmp_path, "fraud") / "model.yaml").write_text(": [")
    checked = check_models(tmp_path, (), settings(models=("churn", "fraud")), "local")
    assert [(c.model, bool(c.errors)) for c in checked] == [("churn", False), ("fraud", True)]


def test_a_model_that_the_stack_does_not_name_is_a_fault_only_when_it_was_asked_for(tmp_path: Path) -> None:
    folder(tmp_path, "fraud")
    (asked,) = check_models(tmp_path, ("fraud",), settings(), "local")
    assert asked.errors == ("stacks/Pulumi.local.yaml: bedplate:models: does not name fraud",)
    (found,) = check_models(tmp_path, (), settings(), "local")
    assert (found.errors, found.is_unlisted) == ((), True)


def test_an_unknown_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        check_models(tmp_path, ("nope",), settings(), "local")


def test_the_list_shows_who_is_live_and_what_forced_its_way(tmp_path: Path) -> None:
    at = a_stack_context(tmp_path)
    passed = {"verdict": "PASS", "metric.auc": "0.7123"}
    at.registry.packages["bedplate-local-churn"] = [
        a_package(1, metadata=passed),
        a_package(2, metadata={"verdict": "FAIL", "forced_by": "ada"}, approval="Approved"),
    ]
    at.endpoints.live["bedplate-local-churn"] = "bedplate-local-churn-v1-0a1b2c3d"
    (row,) = list_models(at)
    newest, oldest = row.versions
    assert (newest.version, newest.is_live, newest.is_forced, newest.value) == (2, False, True, None)
    assert (oldest.version, oldest.is_live, oldest.is_forced, oldest.value) == (1, True, False, 0.7123)


def test_a_model_on_its_fallback_is_live_with_version_0(tmp_path: Path) -> None:
    (row,) = list_models(a_stack_context(tmp_path))
    assert (row.live_version, row.versions) == (0, ())


def test_a_model_without_versions_names_the_way_to_the_first(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no version") as missing:
        find_version(a_stack_context(tmp_path), "churn", None)
    assert missing.value.next_step is not None
    assert missing.value.next_step.startswith("bedplate train churn")
