"""The dashboard of a model: what it shows exists, and it is laid out so that nothing covers anything."""

from __future__ import annotations

import json
import re
from typing import Any

from bedplate.domain.names import ModelNames

from .conftest import Program


def body(program: Program, model: str) -> dict[str, Any]:
    name = ModelNames(program.project, program.stack, model).dashboard
    found = next(d for d in program.of("dashboard:Dashboard") if d.inputs["dashboardName"] == name)
    return dict(json.loads(found.inputs["dashboardBody"]))


def texts(program: Program, model: str) -> str:
    return json.dumps([w["properties"] for w in body(program, model)["widgets"]])


def test_every_model_has_a_dashboard_with_its_own_figures(prod: Program) -> None:
    for model, other in (("churn", "prices"), ("prices", "churn")):
        shown = texts(prod, model)
        names = ModelNames("bedplate", "prod", model)
        for word in (
            *("ModelLatency", "Invocation5XXErrors", "Answers", "MeanAnswer", "bedplate_max_psi", "EstimatedCharges"),
            *(names.monitoring_schedule, names.endpoint),
        ):
            assert word in shown, word
        assert ModelNames("bedplate", "prod", other).endpoint not in shown


def test_lines_are_the_contracts_own_bounds(prod: Program) -> None:
    charts = {w["properties"].get("title", ""): w["properties"] for w in body(prod, "churn")["widgets"]}
    lines = {t: [a["value"] for a in c.get("annotations", {}).get("horizontal", [])] for t, c in charts.items()}
    assert lines["Latency, ms (the SLO is the line)"] == [500]
    assert lines["Errors, share of requests"] == [0.01]
    assert lines["Drift, PSI against the baseline"] == [0.1, 0.25]


def test_no_widget_covers_another_or_leaves_the_grid(prod: Program) -> None:
    taken: set[tuple[int, int]] = set()
    for w in body(prod, "churn")["widgets"]:
        cells = {(x, y) for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])}
        assert not cells & taken, w
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_one_alarm_over_all_of_a_models_alarms_tells_people(prod: Program) -> None:
    alarms = {a.inputs["name"] for a in prod.of("MetricAlarm")}
    rules = [set(re.findall(r'ALARM\("([^"]+)"\)', c.inputs["alarmRule"])) for c in prod.of("CompositeAlarm")]
    assert set().union(*rules) == alarms
    assert sum(map(len, rules)) == len(alarms), "no alarm is told twice"
    assert not any(a.inputs.get("alarmActions") for a in prod.of("MetricAlarm"))
