"""Model folders are checked, and models are listed with their versions."""

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
    path = project / "models" / name
    path.mkdir(parents=True)
    (path / "model.yaml").write_text(yaml.safe_dump(a_spec(name).model_dump(mode="json", exclude_defaults=True)))
    (path / "train.py").write_text(train)
    if inference is not None:
        (path / "inference.py").write_text(inference)
    return path


def list_errors(project: Path) -> list[str]:
    return [error for check in check_models(project, (), settings(), "local") for error in check.errors]


def test_a_complete_folder_has_no_errors(tmp_path: Path) -> None:
    folder(tmp_path)
    assert list_errors(tmp_path) == []


def test_errors_of_all_files_are_listed(tmp_path: Path) -> None:
    folder(tmp_path, train="def f(:", inference="def model_fn(d): ...")
    errors = list_errors(tmp_path)
    assert len(errors) == 2
    assert errors[0].startswith("models/churn/train.py: line 1")
    assert errors[1] == "models/churn/inference.py: does not define predict_fn"


def test_a_missing_script_is_an_error(tmp_path: Path) -> None:
    folder(tmp_path, inference=None)
    assert list_errors(tmp_path) == ["models/churn/inference.py: does not exist"]


def test_contract_errors_name_file_key_and_expectation(tmp_path: Path) -> None:
    path = folder(tmp_path) / "model.yaml"
    path.write_text(path.read_text().replace("risk: low", "risk: none\nclour: red"))
    errors = list_errors(tmp_path)
    assert any(
        error.startswith("models/churn/model.yaml:") and " risk: " in error and "'low'" in error for error in errors
    )
    assert any(
        error.startswith("models/churn/model.yaml:") and error.endswith(" clour: unknown key") for error in errors
    )


def test_one_broken_model_does_not_hide_another(tmp_path: Path) -> None:
    folder(tmp_path)
    (folder(tmp_path, "fraud") / "model.yaml").write_text(": [")
    checks = check_models(tmp_path, (), settings(models=("churn", "fraud")), "local")
    assert [(check.model, bool(check.errors)) for check in checks] == [("churn", False), ("fraud", True)]


def test_an_unlisted_model_is_an_error_only_if_it_was_named(tmp_path: Path) -> None:
    folder(tmp_path, "fraud")
    (explicit,) = check_models(tmp_path, ("fraud",), settings(), "local")
    assert explicit.errors == ("stacks/Pulumi.local.yaml: bedplate:models: does not name fraud",)
    (implicit,) = check_models(tmp_path, (), settings(), "local")
    assert (implicit.errors, implicit.is_unlisted) == ((), True)


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        check_models(tmp_path, ("nope",), settings(), "local")


def test_the_list_shows_live_and_forced_versions(tmp_path: Path) -> None:
    stack = a_stack_context(tmp_path)
    passed = {"verdict": "PASS", "metric.auc": "0.7123"}
    stack.registry.packages["bedplate-local-churn"] = [
        a_package(1, metadata=passed),
        a_package(2, metadata={"verdict": "FAIL", "forced_by": "ada"}, approval="Approved"),
    ]
    stack.endpoints.live["bedplate-local-churn"] = "bedplate-local-churn-v1-0a1b2c3d"
    (row,) = list_models(stack)
    newest, oldest = row.versions
    assert (newest.version, newest.is_live, newest.is_forced, newest.value) == (2, False, True, None)
    assert (oldest.version, oldest.is_live, oldest.is_forced, oldest.value) == (1, True, False, 0.7123)


def test_a_model_on_its_fallback_is_live_with_version_0(tmp_path: Path) -> None:
    (row,) = list_models(a_stack_context(tmp_path))
    assert (row.live_version, row.versions) == (0, ())


def test_a_model_without_versions_suggests_training(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no version") as missing:
        find_version(a_stack_context(tmp_path), "churn", None)
    assert missing.value.next_step is not None
    assert missing.value.next_step.startswith("bedplate train churn")
