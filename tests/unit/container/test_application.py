"""A release serves `/ping` and `/invocations`, names itself in responses and writes metrics."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from bedplate.container.application import Application
from bedplate.container.prediction_metrics import PredictionMetrics
from bedplate.container.script import ModelLoadError
from bedplate.container.serve import build_predictor

RELEASE = {"release": "e-v1-0a1b2c3d", "version": "1", "model": "churn"}


def build_metrics(**changes) -> PredictionMetrics:
    return PredictionMetrics(**{"endpoint": "e", "release": "e-v1-0a1b2c3d", "edges": {}, **changes})


class Client:
    """Calls one application through ASGI messages."""

    def __init__(self, predictor, metrics: PredictionMetrics | None = None) -> None:
        self.lines: list[bytes] = []
        self.application = Application(predictor, metrics or build_metrics(), RELEASE, lambda: 12.5, self.lines.append)

    def __call__(
        self, body: bytes, content_type="application/jsonlines", accept="", path="/invocations", method="POST"
    ):
        sent: list = []
        scope = {"type": "http", "method": method, "path": path}
        scope["headers"] = [(b"content-type", content_type.encode()), (b"accept", accept.encode())]
        half = len(body) // 2
        parts = [{"body": body[:half], "more_body": True}, {"body": body[half:]}]

        async def receive():
            return parts.pop(0)

        async def send(message):
            sent.append(message)

        asyncio.run(self.application(scope, receive, send))
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]

    def stop(self) -> None:
        parts = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive():
            return parts.pop(0)

        async def send(message):
            pass

        asyncio.run(self.application({"type": "lifespan"}, receive, send))


@pytest.fixture
def client(model_dir) -> Client:
    return Client(build_predictor(model_dir, {}))


def row(x: float, **more) -> dict:
    return {"id": "k", "shop": "north", "x": x, **more}


def lines(*rows) -> bytes:
    return b"\n".join(json.dumps(r).encode() for r in rows)


def test_ping_succeeds_and_response_names_the_release(client):
    status, headers, body = client(b"", path="/ping", method="GET")
    assert (status, body) == (200, b"")
    assert headers[b"x-amzn-sagemaker-custom-attributes"] == b"release=e-v1-0a1b2c3d;version=1;model=churn"


def test_response_has_its_duration(client):
    metrics, _, took_us = client(lines(row(0)))[1][b"x-amzn-sagemaker-custom-attributes"].partition(b";took_us=")
    assert metrics == b"release=e-v1-0a1b2c3d;version=1;model=churn"
    assert 0 < int(took_us) < 60_000_000


def test_response_has_one_prediction_per_row_in_order(client):
    status, headers, body = client(lines(row(-1), row(0), row(1)))
    assert (status, headers[b"content-type"]) == (200, b"application/jsonlines")
    assert [json.loads(line)["prediction"] for line in body.splitlines()] == pytest.approx(
        [0.2689, 0.5, 0.7311], abs=1e-4
    )


@pytest.mark.parametrize(
    ("content_type", "accept", "expected"),
    [
        ("application/json", "", b'{"predictions":[0.5]}'),
        ("application/jsonlines; charset=utf-8", "*/*", b'{"prediction":0.5}\n'),
        ("application/json", "text/csv", b"0.5\n"),
    ],
)
def test_response_format_is_that_of_accept_or_else_of_the_request(client, content_type, accept, expected):
    assert client(lines(row(0)), content_type, accept)[2] == expected


def test_csv_columns_are_matched_by_the_header_line(client):
    assert client(b"x,shop\n0,north\n", "text/csv")[2] == b"0.5\n"


def test_request_that_violates_the_contract_gets_400_with_row_and_column(client):
    status, _, body = client(lines(row(0), {"shop": "north"}))
    assert status == 400
    assert json.loads(body) == {"error": "column 'x' is missing", "column": "x", "row": 2}
    assert client(b"x", "text/plain")[0] == 400


def test_unknown_route_gets_404(client):
    assert client(b"", path="/", method="GET")[0] == 404
    assert client(b"", path="/invocations", method="GET")[0] == 404


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ZeroDivisionError('oh')", "predict_fn raised ZeroDivisionError: oh"),
        ("import numpy; return numpy.zeros((1, 2))", "one number per row"),
        ("import numpy; return numpy.array([float('nan')])", "NaN"),
    ],
)
def test_failure_of_the_script_gets_500_with_the_reason(tmp_path, write_model, body, reason, capsys):
    script = f"def model_fn(model_dir):\n    return 1\n\ndef predict_fn(rows, model):\n    {body}\n"
    status, _, response = Client(build_predictor(write_model(tmp_path / "m", inference=script), {}))(lines(row(0)))
    assert status == 500
    assert reason in json.loads(response)["error"]


def test_input_fn_and_output_fn_replace_the_contract(tmp_path, write_model):
    script = """
import pandas as pd

def model_fn(model_dir): return 2.0
def input_fn(body, content_type): return pd.DataFrame({"v": [float(body)]})
def predict_fn(rows, model): return rows["v"].to_numpy() * model
def output_fn(scores, accept): return f"<{scores[0]}>"
"""
    client = Client(build_predictor(write_model(tmp_path / "m", inference=script), {}))
    assert client(b"4", "application/json")[2] == b"<8.0>"


@pytest.mark.parametrize(
    ("inference", "reason"),
    [
        ("def model_fn(d): return 1", "defines no predict_fn"),
        ("def predict_fn(r, m): return r", "defines no model_fn"),
        ("import nothing_of_this_name", "cannot be imported: ModuleNotFoundError"),
        (
            "def model_fn(d): raise OSError('gone')\ndef predict_fn(r, m): return r",
            "model_fn of inference.py raised OSError",
        ),
    ],
)
def test_model_that_cannot_be_loaded_raises_the_reason(tmp_path, write_model, inference, reason):
    with pytest.raises(ModelLoadError, match=reason):
        build_predictor(write_model(tmp_path / "m", inference=inference), {})


def test_artifact_without_contract_cannot_be_loaded(tmp_path):
    with pytest.raises(ModelLoadError, match=r"contract\.json"):
        build_predictor(tmp_path, {})


def test_fallback_predicts_a_constant_without_reading_columns(tmp_path):
    client = Client(build_predictor(tmp_path / "nothing", {"BEDPLATE_FALLBACK": "0.24"}))
    assert client(lines({}, {"a": 1}))[2] == b'{"prediction":0.24}\n{"prediction":0.24}\n'
    assert client(b"{")[0] == 400


def test_metrics_are_written_at_shutdown(client):
    client(lines(row(0), row(0)))
    client(b"{")
    client.stop()
    (line,) = client.lines
    process = json.loads(line)
    assert (process["Predictions"], process["MeanPrediction"], process["_aws"]["Timestamp"]) == (2, 0.5, 12500)
    assert (process["Endpoint"], process["Release"]) == ("e", "e-v1-0a1b2c3d")
    assert process["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Bedplate/Serving"
    assert line.endswith(b"\n")


def test_no_metrics_are_written_without_predictions(client):
    client.stop()
    assert client.lines == []


def test_fallback_starts_without_pandas_pydantic_or_scikit_learn():
    heavy = ("pandas", "numpy", "sklearn", "pyarrow", "pydantic", "scipy")
    code = f"""
import sys
from pathlib import Path
import uvicorn
from bedplate.container.serve import PredictionMetrics, build_predictor
build_predictor(Path("nowhere"), {{"BEDPLATE_FALLBACK": "0.2"}}).predict(b"{{}}", "", "")
PredictionMetrics.from_environment({{}}).lines(0)
print([name for name in {heavy!r} if name in sys.modules])
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
