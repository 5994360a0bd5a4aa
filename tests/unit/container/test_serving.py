"""A release answers `/ping` and `/invocations`, says who it is, and tells of its answers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from bedplate.container.application import Application
from bedplate.container.emission import Emission
from bedplate.container.script import ModelWillNotLoad
from bedplate.container.serve import predictor_of

RELEASE = {"release": "e-v1-0a1b2c3d", "version": "1", "model": "churn"}


def emission(**changes) -> Emission:
    return Emission(**{"endpoint": "e", "release": "e-v1-0a1b2c3d", "edges": {}, **changes})


class Asked:
    """One application, asked through ASGI's own messages."""

    def __init__(self, predictor, told: Emission | None = None) -> None:
        self.lines: list[bytes] = []
        self.application = Application(predictor, told or emission(), RELEASE, lambda: 12.5, self.lines.append)

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
def asked(model_dir) -> Asked:
    return Asked(predictor_of(model_dir, {}))


def row(x: float, **more) -> dict:
    return {"id": "k", "shop": "north", "x": x, **more}


def lines(*rows) -> bytes:
    return b"\n".join(json.dumps(r).encode() for r in rows)


def test_ping_answers_and_every_answer_says_which_release_gave_it(asked):
    status, headers, body = asked(b"", path="/ping", method="GET")
    assert (status, body) == (200, b"")
    assert headers[b"x-amzn-sagemaker-custom-attributes"] == b"release=e-v1-0a1b2c3d;version=1;model=churn"


def test_answer_says_how_long_it_took(asked):
    told, _, took_us = asked(lines(row(0)))[1][b"x-amzn-sagemaker-custom-attributes"].partition(b";took_us=")
    assert told == b"release=e-v1-0a1b2c3d;version=1;model=churn"
    assert 0 < int(took_us) < 60_000_000


def test_as_many_answers_as_rows_in_their_order(asked):
    status, headers, body = asked(lines(row(-1), row(0), row(1)))
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
def test_answers_format_is_accepts_or_the_requests(asked, content_type, accept, expected):
    assert asked(lines(row(0)), content_type, accept)[2] == expected


def test_csv_is_read_by_its_header(asked):
    assert asked(b"x,shop\n0,north\n", "text/csv")[2] == b"0.5\n"


def test_request_that_breaks_the_contract_is_400_with_row_and_column(asked):
    status, _, body = asked(lines(row(0), {"shop": "north"}))
    assert status == 400
    assert json.loads(body) == {"error": "column 'x' is missing", "column": "x", "row": 2}
    assert asked(b"x", "text/plain")[0] == 400


def test_unknown_route_is_404(asked):
    assert asked(b"", path="/", method="GET")[0] == 404
    assert asked(b"", path="/invocations", method="GET")[0] == 404


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ZeroDivisionError('oh')", "predict_fn raised ZeroDivisionError: oh"),
        ("import numpy; return numpy.zeros((1, 2))", "one number a row"),
        ("import numpy; return numpy.array([float('nan')])", "NaN"),
    ],
)
def test_scripts_failure_is_500_with_its_reason(tmp_path, write_model, body, reason, capsys):
    script = f"def model_fn(model_dir):\n    return 1\n\ndef predict_fn(rows, model):\n    {body}\n"
    status, _, said = Asked(predictor_of(write_model(tmp_path / "m", inference=script), {}))(lines(row(0)))
    assert status == 500
    assert reason in json.loads(said)["error"]


def test_scripts_own_input_and_output_take_the_contracts_place(tmp_path, write_model):
    script = """
import pandas as pd

def model_fn(model_dir): return 2.0
def input_fn(body, content_type): return pd.DataFrame({"v": [float(body)]})
def predict_fn(rows, model): return rows["v"].to_numpy() * model
def output_fn(scores, accept): return f"<{scores[0]}>"
"""
    ask = Asked(predictor_of(write_model(tmp_path / "m", inference=script), {}))
    assert ask(b"4", "application/json")[2] == b"<8.0>"


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
def test_model_that_will_not_load_says_why(tmp_path, write_model, inference, reason):
    with pytest.raises(ModelWillNotLoad, match=reason):
        predictor_of(write_model(tmp_path / "m", inference=inference), {})


def test_artifact_without_contract_will_not_load(tmp_path):
    with pytest.raises(ModelWillNotLoad, match=r"contract\.json"):
        predictor_of(tmp_path, {})


def test_fallback_answers_every_row_alike_and_wants_no_column(tmp_path):
    ask = Asked(predictor_of(tmp_path / "nothing", {"BEDPLATE_FALLBACK": "0.24"}))
    assert ask(lines({}, {"a": 1}))[2] == b'{"prediction":0.24}\n{"prediction":0.24}\n'
    assert ask(b"{")[0] == 400


def test_answers_are_told_once_at_the_end_when_the_second_was_not_over(asked):
    asked(lines(row(0), row(0)))
    asked(b"{")
    asked.stop()
    (line,) = asked.lines
    found = json.loads(line)
    assert (found["Answers"], found["MeanAnswer"], found["_aws"]["Timestamp"]) == (2, 0.5, 12500)
    assert (found["Endpoint"], found["Release"]) == ("e", "e-v1-0a1b2c3d")
    assert found["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Bedplate/Serving"
    assert line.endswith(b"\n")


def test_nothing_is_told_without_answers(asked):
    asked.stop()
    assert asked.lines == []


def test_lines_count_only_what_came_since_the_last():
    told = emission()
    told.add([0.1, 0.3])
    (first,) = map(json.loads, told.lines(0))
    assert (first["Answers"], round(first["MeanAnswer"], 3)) == (2, 0.2)
    assert told.lines(1) == []
    told.add([0.5])
    assert json.loads(told.lines(2)[0])["Answers"] == 1


def test_answers_are_counted_in_the_releases_own_bins_and_in_the_champions():
    told = emission(edges={"": (0.2, 0.6), "r-v1": (0.5,)})
    told.add([0.1, 0.2, 0.3, 0.9])
    _, own, champions = map(json.loads, told.lines(0))
    assert (own["Bins"], own["Bin1"], own["Bin2"], own["Bin3"]) == (own["Release"], 2, 1, 1)
    assert (champions["Bins"], champions["Bin1"], champions["Bin2"]) == ("r-v1", 3, 1)
    directive = champions["_aws"]["CloudWatchMetrics"][0]
    assert directive["Dimensions"] == [["Endpoint", "Release", "Bins"]]
    assert directive["Metrics"][0] == {"Name": "Bin1", "Unit": "Count", "StorageResolution": 1}


def test_environment_gives_the_bins():
    told = Emission.from_environment({"BEDPLATE_ANSWER_EDGES": '{"r-v1":[0.5]}'})
    told.add([0.1, 0.2])
    assert json.loads(told.lines(0)[1])["Bin1"] == 2
    with pytest.raises(ValueError, match="edges of answers"):
        Emission.from_environment({"BEDPLATE_ANSWER_EDGES": "nothing"})


def test_fallback_starts_without_pandas_pydantic_or_scikit_learn():
    heavy = ("pandas", "numpy", "sklearn", "pyarrow", "pydantic", "scipy")
    code = f"""
import sys
from pathlib import Path
import uvicorn
from bedplate.container.serve import predictor_of, Emission
predictor_of(Path("nowhere"), {{"BEDPLATE_FALLBACK": "0.2"}}).answer(b"{{}}", "", "")
Emission.from_environment({{}}).lines(0)
print([name for name in {heavy!r} if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
