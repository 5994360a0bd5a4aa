"""A model's dashboard: its metrics, bounds and layout, and the composite alarm."""

from __future__ import annotations

import json
import re
from typing import Any

from bedplate.domain.names import ModelNames

from .conftest import Program


def body(program: Program, model: str) -> dict[str, Any]:
    name = ModelNames(program.project, program.stack, model).dashboard
    dashboard = next(d for d in program.of_type("dashboard:Dashboard") if d.inputs["dashboardName"] == name)
    return dict(json.loads(dashboard.inputs["dashboardBody"]))


def texts(program: Program, model: str) -> str:
    return json.dumps([w["properties"] for w in body(program, model)["widgets"]])


def test_every_model_has_a_dashboard_with_its_own_metrics(prod: Program) -> None:
    for model, other in (("churn", "prices"), ("prices", "churn")):
        shown = texts(prod, model)
        names = ModelNames("bedplate", "prod", model)
        for word in (
            *(
                "ModelLatency",
                "Invocation5XXErrors",
                "Predictions",
                "MeanPrediction",
                "bedplate_max_psi",
                "EstimatedCharges",
            ),
            *(names.monitoring_schedule, names.endpoint),
        ):
            assert word in shown, word
        assert ModelNames("bedplate", "prod", other).endpoint not in shown


def test_the_lines_of_charts_are_the_bounds_of_the_model(prod: Program) -> None:
    charts = {w["properties"].get("title", ""): w["properties"] for w in body(prod, "churn")["widgets"]}
    lines = {t: [a["value"] for a in c.get("annotations", {}).get("horizontal", [])] for t, c in charts.items()}
    assert lines["Latency, ms (line: SLO of the 99th percentile)"] == [500]
    assert lines["Errors, share of requests"] == [0.01]
    assert lines["Drift, PSI against the baseline"] == [0.1, 0.25]


def test_no_widget_covers_another_or_leaves_the_grid(prod: Program) -> None:
    taken: set[tuple[int, int]] = set()
    for w in body(prod, "churn")["widgets"]:
        cells = {(x, y) for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])}
        assert not cells & taken, w
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_only_the_composite_alarm_of_a_model_notifies_people(prod: Program) -> None:
    alarms = {a.inputs["name"] for a in prod.of_type("MetricAlarm")}
    rules = [set(re.findall(r'ALARM\("([^"]+)"\)', c.inputs["alarmRule"])) for c in prod.of_type("CompositeAlarm")]
    assert set().union(*rules) == alarms
    assert sum(map(len, rules)) == len(alarms), "no alarm is in two composite alarms"
    assert not any(a.inputs.get("alarmActions") for a in prod.of_type("MetricAlarm"))
