"""The whole life of a model of another kind, a regression in dollars on real data, on a real local platform.

Nothing in src/ knows this model, nor the one that the other tests and the demo are about.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bedplate.local import lifecycle
from platform_client import client_of
from repository import ROOT
from typed import Ran, typed

pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of:DeprecationWarning")
MODEL, ENDPOINT = "house-prices", "bedplate-houses-house-prices"


@dataclass(frozen=True)
class Site:
    project: Path
    url: str

    def run(self, *args: str, expect: int = 0) -> Ran:
        ran = typed(*args)
        assert ran.code == expect, f"{' '.join(args)}\n{ran.out}\n{ran.err}"
        return ran

    def data(self, name: str, first: str, last: str, label: str = "median") -> str:
        import pyarrow.parquet as pq

        prepare = _prepare()
        path = self.project / f"{name}.parquet"
        pq.write_table(prepare.to_arrow(prepare.prepare(first, last, label=label)), path)
        return str(path)


class Customers:
    """Rows of the live years in no order, twenty a request, for as long as the block lasts."""

    def __init__(self, site: Site, rows: list[dict[str, Any]]) -> None:
        self._site, self._rows, self._stop = site, rows, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Customers:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        client, turn = client_of(self._site.url, "sagemaker-runtime"), 0
        while not self._stop.wait(0.02):
            some = [self._rows[(turn * 20 + i) % len(self._rows)] for i in range(20)]
            turn += 1
            ask(client, some)


def ask(client: Any, rows: list[dict[str, Any]], inference_id: str | None = None) -> list[float]:
    answer = client.invoke_endpoint(
        EndpointName=ENDPOINT,
        Body="\n".join(json.dumps(row) for row in rows).encode(),
        ContentType="application/jsonlines",
        Accept="application/jsonlines",
        **({"InferenceId": inference_id} if inference_id else {}),
    )
    return [json.loads(line)["prediction"] for line in answer["Body"].read().splitlines()]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "stacks").mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    shutil.copytree(ROOT / "infra", tmp_path / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "models" / MODEL, tmp_path / "models" / MODEL)
    contract = tmp_path / "models" / MODEL / "model.yaml"
    quick = contract.read_text().replace("min_rank_correlation: 0.6}", "min_rank_correlation: 0.6, rows: 40, draws: 2}")
    contract.write_text(quick.replace("requests: 100}", "requests: 20, batches: 20}"))
    shutil.copy(ROOT / "stacks" / "Pulumi.houses.yaml", tmp_path / "stacks")
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
        yield Site(tmp_path, str(lifecycle.start(tmp_path, port=0).url))
    finally:
        lifecycle.stop(tmp_path)


@pytest.mark.long  # docs/tutorial.md, which a test executes, lives most of it
def test_a_regression_lives_the_whole_life(site: Site) -> None:
    site.run("up", "--yes")
    texas = site.data("texas", "2001-01", "2010-12")
    checked = site.run("data", "check", MODEL, "--data", texas, "--json").json
    assert checked["ok"]
    broken = site.data("broken", "2001-01", "2010-12", "mean")
    version = site.run("data", "register", MODEL, "--data", texas, "--json").json["sha256"]
    suspicious = site.run("data", "register", MODEL, "--data", broken, expect=4)
    assert "label" in suspicious.err, "somebody upstream delivers mean prices as medians"
    trained = site.run("train", MODEL, "--dataset", "latest", "--json").json
    assert (trained["version"], trained["dataset_sha256"]) == (1, version)

    told = site.run("evaluate", f"{MODEL}:1", "--html", str(site.project / "gates.html"))
    assert "rmse" in told.out
    assert "e+0" not in told.out, "dollars are written out"
    gates = site.run("evaluate", f"{MODEL}:1", "--json").json["gates"]
    assert {"threshold", "segment", "residuals", "fairness", "leakage", "inference"} <= {g["kind"] for g in gates}
    assert {g["outcome"] for g in gates if g["decides"] and g["kind"] != "latency"} == {"PASS"}
    page = (site.project / "gates.html").read_text()
    assert "Residuals over the predicted value" in page
    assert "ROC" not in page
    site.run("approve", f"{MODEL}:1", "--reason", "All gates passed")
    site.run("deploy", f"{MODEL}:1", "--strategy", "all-at-once", "--bake", "0", "--yes")

    live = site.data("live", "2011-01", "2014-12")
    sent = site.run("invoke", MODEL, "--data", live, "--json").json
    assert (sent["rows"], sent["failed"]) == (2204, 0)
    site.run("baseline", MODEL)
    assert site.run("labels", "add", MODEL, live, "--json").json["labels"] == 2204
    drift = site.run("monitor", "run", MODEL, "--json", expect=3).json
    assert drift["features"]["price_12"]["verdict"] == "significant", "prices did rise"
    assert drift["features"]["month"]["verdict"] == "stable"
    assert drift["performance"]["n_labelled"] == 2204
    assert 9_000 < drift["performance"]["metrics"]["rmse"] < 15_000
    shown = site.run("monitor", "report", MODEL, expect=3)
    assert "None of 48 windows has a figure of its own" in shown.out

    client, rows = client_of(site.url, "sagemaker-runtime"), requests_of()
    renewed(site, rows)

    before = ask(client, rows[:1])[0]
    checks = site.run("rollback", MODEL, "--yes", "--reason", "Rehearsal", "--json").json["checks"]
    assert {c["what"]: c["verdict"] for c in checks}["re-score"] == "PASS"
    after = ask(client, rows[:1], inference_id="sale-4711")[0]
    assert before != after
    assert 40_000 < after < 400_000
    decision = site.run("explain-decision", "sale-4711", "--model", MODEL, "--json").json
    assert (decision["answer"], decision["version"]) == (pytest.approx(after), 1)
    assert decision["lineage"]["dataset_sha256"] == version

    again = site.run("reproduce", f"{MODEL}:1", "--json").json
    assert again["identical"]
    assert again["predictions"] == {"rows": 997, "differing": 0, "max_difference": 0.0}
    assert site.run("models", "compare", f"{MODEL}:1", f"{MODEL}:2", "--json").json
    site.run("report", MODEL, "--out", str(site.project / "report.html"))
    report = (site.project / "report.html").read_text()
    assert "No window of its own held enough rows" in report
    assert "mae by segment" in report
    site.run("ledger", "verify")


def renewed(site: Site, rows: list[dict[str, Any]]) -> None:
    """A version that has seen two more years takes over by a canary."""
    site.run("train", MODEL, "--data", site.data("fresh", "2001-01", "2012-12"))
    better = site.run("evaluate", f"{MODEL}:2", "--json").json
    champion = next(g for g in better["gates"] if g["kind"] == "champion")
    assert (better["verdict"], champion["outcome"]) == ("PASS", "PASS")
    site.run("approve", f"{MODEL}:2", "--reason", "As good, and fresher")
    with Customers(site, rows):
        site.run("deploy", f"{MODEL}:2", "--bake", "2", "--yes")


def requests_of() -> list[dict[str, Any]]:
    """Rows of 2013 and 2014 as an application sends them, shuffled: key, time and features, null where unknown."""
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
