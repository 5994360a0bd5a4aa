"""Charts load nothing, keep text as text, and give the same bytes for the same values."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from bedplate.cli.pages import charts
from bedplate.domain.evidence.metrics import Estimate

START = datetime(2026, 1, 1, tzinfo=UTC)
BANDS = [charts.Band(0.1, "warn 0.1"), charts.Band(0.25, "alert 0.25", charts.BAD)]
CHARTS = {
    "lines": lambda: charts.lines(["a", "b", "c"], {"temp": [0.1, None, 0.3]}, y_label="PSI", bands=BANDS),
    "estimates": lambda: charts.estimates({"EWR": {"v1": Estimate(0.7, 0.6, 0.8, 9)}}, x_label="AUC", bands=BANDS),
    "bars": lambda: charts.bars({"temp": 0.4, "hour": 0.02}, x_label="PSI", bands=BANDS),
    "histogram_pair": lambda: charts.histogram_pair(["0–1", "1–2"], [0.5, 0.5], [0.9, 0.1], x_label="temp"),
    "shares": lambda: charts.shares(
        [START, START + timedelta(seconds=1)], {"v0": [10, 0], "v1": [0, 10]}, marks={START: "deploy"}
    ),
    "spend": lambda: charts.spend({"flight-delay": ({"training": 0.4, "endpoint": 0.2}, 1.0, (50, 100))}),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_one_svg_that_loads_nothing(name: str) -> None:
    svg = CHARTS[name]()
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert root.get("aria-label")
    links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert all(link.startswith("#") for link in links)


@pytest.mark.parametrize("name", CHARTS)
def test_the_same_values_give_the_same_bytes(name: str) -> None:
    assert CHARTS[name]() == CHARTS[name]()


def test_labels_stay_text() -> None:
    assert "alert 0.25" in CHARTS["lines"]()


def test_bars_are_sorted_and_coloured_by_the_highest_band_that_they_pass() -> None:
    svg = charts.bars({"low": 0.01, "high": 0.5}, x_label="PSI", bands=BANDS)
    assert svg.index(">high<") < svg.index(">low<")
    assert charts.BAD.lower() in svg
    assert charts.PALETTE[0].lower() in svg


def test_spend_shows_the_percentage_of_the_limit() -> None:
    assert "60 %" in charts.spend({"m": ({"training": 0.4, "endpoint": 0.2}, 1.0, (50,))})


def test_an_interval_without_traffic_has_shares_of_zero() -> None:
    assert "<svg" in charts.shares([START, START + timedelta(seconds=1)], {"v0": [0, 1]})


def test_long_labels_below_an_axis_are_rotated() -> None:
    def draw(labels: list[str]) -> str:
        shares = [1 / len(labels)] * len(labels)
        return charts.histogram_pair(labels, shares, shares, x_label="temp")

    assert "rotate(-30" not in draw(["0 to 1", "1 to 2"])
    assert "rotate(-30" in draw([f"{i}.98 to {i + 1}.98" for i in range(20, 30)])
