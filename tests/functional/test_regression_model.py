"""Trains, deploys, monitors and rolls back the regression model house-prices on a running local platform."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from background_traffic import BackgroundTraffic
from bedplate.local import lifecycle
from command_line import CommandResult, run_bedplate
from platform_client import client_of
from program_copy import copy_program
from repository import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of:DeprecationWarning")
MODEL, ENDPOINT = "house-prices", "bedplate-houses-house-prices"


@dataclass(frozen=True)
class HousePricesProject:
    """A project with the model house-prices, and its running local platform."""

    folder: Path
    url: str

    def run(self, *args: str, code: int = 0) -> CommandResult:
        """Runs `bedplate ...` in this process, and asserts its exit code."""
        result = run_bedplate(*args)
        assert result.code == code, f"{' '.join(args)}\n{result.stdout}\n{result.stderr}"
        return result

    def write_data(self, name: str, first: str, last: str, label: str = "median") -> str:
        """Writes the rows of the months from `first` to `last` to a Parquet file. Returns its path."""
        import pyarrow.parquet as pq

        prepare = _prepare()
        path = self.folder / f"{name}.parquet"
        pq.write_table(prepare.to_arrow(prepare.prepare(first, last, label=label)), path)
        return str(path)


def predict(client: Any, rows: list[dict[str, Any]], inference_id: str | None = None) -> list[float]:
    response = client.invoke_endpoint(
        EndpointName=ENDPOINT,
        Body="\n".join(json.dumps(row) for row in rows).encode(),
        ContentType="application/jsonlines",
        Accept="application/jsonlines",
        **({"InferenceId": inference_id} if inference_id else {}),
    )
    return [json.loads(line)["prediction"] for line in response["Body"].read().splitlines()]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HousePricesProject]:
    copy_program(tmp_path, "infra", f"models/{MODEL}", "stacks")
    contract = tmp_path / "models" / MODEL / "model.yaml"
    quick = contract.read_text().replace("min_rank_correlation: 0.6}", "min_rank_correlation: 0.6, rows: 40, draws: 2}")
    contract.write_text(quick.replace("requests: 100}", "requests: 20, batches: 20}"))
    for name, value in {
        "BEDPLATE_PROJECT": str(tmp_path),
        "BEDPLATE_STACK": "houses",
        "BEDPLATE_ACTOR": "ines@example.com",
        "BEDPLATE_TRACKING": "off",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("BEDPLATE_STATE_DIR", raising=False)
    try:
        yield HousePricesProject(tmp_path, str(lifecycle.start(tmp_path, port=0).url))
    finally:
        lifecycle.stop(tmp_path)


@pytest.mark.long  # the executed docs/tutorial.md covers most of it
def test_a_regression_model_is_trained_deployed_monitored_and_rolled_back(project: HousePricesProject) -> None:
    project.run("up", "--yes")
    texas = project.write_data("texas", "2001-01", "2010-12")
    checked = project.run("data", "check", MODEL, "--data", texas, "--json").json
    assert checked["ok"]
    broken = project.write_data("broken", "2001-01", "2010-12", "mean")
    version = project.run("data", "register", MODEL, "--data", texas, "--json").json["sha256"]
    suspicious = project.run("data", "register", MODEL, "--data", broken, code=4)
    assert "label" in suspicious.stderr, "the label is the mean price instead of the median"
    trained = project.run("train", MODEL, "--dataset", "latest", "--json").json
    assert (trained["version"], trained["dataset_sha256"]) == (1, version)

    evaluated = project.run("evaluate", f"{MODEL}:1", "--html", str(project.folder / "gates.html"))
    assert "rmse" in evaluated.stdout
    assert "e+0" not in evaluated.stdout, "dollars are not in scientific notation"
    gates = project.run("evaluate", f"{MODEL}:1", "--json").json["gates"]
    assert {"threshold", "segment", "residuals", "fairness", "leakage", "inference"} <= {g["kind"] for g in gates}
    assert {g["outcome"] for g in gates if g["decides"] and g["kind"] != "latency"} == {"PASS"}
    page = (project.folder / "gates.html").read_text()
    assert "Residuals over the predicted value" in page
    assert "ROC" not in page
    project.run("approve", f"{MODEL}:1", "--reason", "All gates passed")
    project.run("deploy", f"{MODEL}:1", "--strategy", "all-at-once", "--bake", "0", "--yes")

    live = project.write_data("live", "2011-01", "2014-12")
    sent = project.run("invoke", MODEL, "--data", live, "--json").json
    assert (sent["rows"], sent["failed"]) == (2204, 0)
    project.run("baseline", MODEL)
    assert project.run("labels", "add", MODEL, live, "--json").json["labels"] == 2204
    drift = project.run("monitor", "run", MODEL, "--json", code=3).json
    assert drift["features"]["price_12"]["verdict"] == "significant", "prices rise in these years"
    assert drift["features"]["month"]["verdict"] == "stable"
    assert drift["performance"]["n_labelled"] == 2204
    assert 9_000 < drift["performance"]["metrics"]["rmse"] < 15_000
    shown = project.run("monitor", "report", MODEL, code=3)
    assert "None of 48 windows has enough rows for a value of its own" in shown.stdout

    client, rows = client_of(project.url, "sagemaker-runtime"), shuffled_rows()
    deploy_newer_version(project, rows)

    before = predict(client, rows[:1])[0]
    checks = project.run("rollback", MODEL, "--yes", "--reason", "Rehearsal", "--json").json["checks"]
    assert {c["name"]: c["verdict"] for c in checks}["re-score"] == "PASS"
    after = predict(client, rows[:1], inference_id="sale-4711")[0]
    assert before != after
    assert 40_000 < after < 400_000
    decision = project.run("explain-decision", "sale-4711", "--model", MODEL, "--json").json
    assert (decision["prediction"], decision["version"]) == (pytest.approx(after), 1)
    assert decision["lineage"]["dataset_sha256"] == version

    reproduction = project.run("reproduce", f"{MODEL}:1", "--json").json
    assert reproduction["identical"]
    assert reproduction["predictions"] == {"rows": 997, "differing": 0, "max_difference": 0.0}
    assert project.run("models", "compare", f"{MODEL}:1", f"{MODEL}:2", "--json").json
    project.run("report", MODEL, "--out", str(project.folder / "report.html"))
    report = (project.folder / "report.html").read_text()
    assert "No window has enough rows for a value of its own" in report
    assert "mae by segment" in report
    project.run("ledger", "verify")


def deploy_newer_version(project: HousePricesProject, rows: list[dict[str, Any]]) -> None:
    """Deploys a version with two more years of training data as a canary."""
    project.run("train", MODEL, "--data", project.write_data("fresh", "2001-01", "2012-12"))
    better = project.run("evaluate", f"{MODEL}:2", "--json").json
    champion = next(g for g in better["gates"] if g["kind"] == "champion")
    assert (better["verdict"], champion["outcome"]) == ("PASS", "PASS")
    project.run("approve", f"{MODEL}:2", "--reason", "As good, and fresher")
    with BackgroundTraffic(client_of(project.url, "sagemaker-runtime"), ENDPOINT, rows):
        project.run("deploy", f"{MODEL}:2", "--bake", "2", "--yes")


def shuffled_rows() -> list[dict[str, Any]]:
    """Returns the rows of 2013 and 2014, shuffled, as an application sends them: key, time and features, with nulls."""
    table = _prepare().prepare("2013-01", "2014-12").sample(frac=1, random_state=1).drop(columns="median_price")
    return list(json.loads(table.to_json(orient="records", date_format="iso")))


def _prepare() -> Any:
    import importlib.util

    spec = importlib.util.spec_from_file_location("house_prices_prepare", ROOT / "models" / MODEL / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
