"""Writes the training data of house-prices: a row for each Texan town and month, from the months before it.

    python prepare.py OUT.parquet --from 2001-01 --to 2010-12

Source: `txhousing.csv` inside the installed package `plotnine`, which has it from R's ggplot2: monthly sales of homes
from January 2000 to July 2015 by the Real Estate Center at Texas A&M University. Features are computed from the months
before the row's month; the label, the month's median price, is available when the month is over.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FIRST, LAST = "2001-01", "2015-07"
LARGE, SMALL = 5000, 1000  # sales of twelve months
NUMERIC = [
    "month", "last_price", "price_3", "price_12", "same_month_last_year", "mean_to_median", "sales", "sales_12",
    "listings", "inventory",
]  # fmt: skip
FEATURES = ["city", "market", *NUMERIC]
COLUMNS = ["id", "month_start", *FEATURES, "median_price"]


def prepare(first: str = FIRST, last: str = LAST, *, label: str = "median") -> pd.DataFrame:
    """Return the months `first` to `last` (`yyyy-mm`, inclusive) of every town, in order of time.

    Months are left out if their median price or that of the month before was not reported, or more than six of the
    twelve before. Prices are US dollars. `label="mean"` breaks the data on purpose: the label is the mean price, as if
    two columns had been mixed up upstream.
    """
    if label not in ("median", "mean"):
        raise ValueError(f"--label takes median or mean, found {label!r}")
    begin, end = _month(first), _month(last)
    if begin > end:
        raise ValueError(f"--from {first} is after --to {last}")
    table = _with_history(_sales())
    is_complete = table["median_price"].notna() & table["price_12"].notna() & table["last_price"].notna()
    table = table[is_complete & table["month_start"].between(begin, end)]
    table = table.sort_values(["month_start", "city"], kind="stable", ignore_index=True)
    if label == "mean":
        table["median_price"] = table["mean_price"]
    return table[COLUMNS]


def to_arrow(table: pd.DataFrame) -> pa.Table:
    """Return the table for Parquet; times are UTC."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    return arrow.set_column(
        COLUMNS.index("month_start"),
        "month_start",
        arrow["month_start"].cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
    )


def _sales() -> pd.DataFrame:
    package = importlib.util.find_spec("plotnine")  # located without import, because only its file is needed
    if package is None or package.origin is None:
        raise SystemExit("the package plotnine is not installed: make setup")
    table = pd.read_csv(Path(package.origin).parent / "data" / "txhousing.csv")
    table["month_start"] = pd.to_datetime(table[["year", "month"]].assign(day=1))
    return table.sort_values(["city", "month_start"], kind="stable", ignore_index=True)


def _with_history(table: pd.DataFrame) -> pd.DataFrame:
    """Add features from the months before each row by shifting, as the file has every month of every town."""
    by_city = table.groupby("city", sort=False)
    before = by_city.shift(1)
    rows = pd.DataFrame(
        {
            "id": table["city"].str.lower().str.replace(r"[^a-z]+", "-", regex=True)
            + table["month_start"].dt.strftime("-%Y-%m"),
            "month_start": table["month_start"],
            "city": table["city"],
            "month": table["month"].astype("int64"),
            "last_price": before["median"],
            "mean_to_median": before["volume"] / before["sales"] / before["median"],
            "sales": before["sales"],
            "listings": before["listings"],
            "inventory": before["inventory"],
            "same_month_last_year": by_city["median"].shift(12),
            "median_price": table["median"],
            "mean_price": table["volume"] / table["sales"],
        }
    )
    for name, source, months, min_months in (
        ("price_3", "median", 3, 2),
        ("price_12", "median", 12, 6),
        ("sales_12", "sales", 12, 6),
    ):
        rolled = before[source].groupby(table["city"], sort=False).rolling(months, min_periods=min_months).mean()
        rows[name] = rolled.reset_index(level=0, drop=True)
    rows["sales_12"] *= 12
    rows["market"] = np.select([rows["sales_12"] >= LARGE, rows["sales_12"] < SMALL], ["large", "small"], "medium")
    return rows


def _month(text: str) -> pd.Timestamp:
    if len(text) != 7 or not FIRST <= text <= LAST:
        raise ValueError(f"a month from {FIRST} to {LAST} expected, found {text!r}")
    return pd.Timestamp(f"{text}-01")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the Parquet file to write")
    parser.add_argument("--from", dest="first", default=FIRST, metavar="YYYY-MM", help="first (default %(default)s)")
    parser.add_argument("--to", dest="last", default=LAST, metavar="YYYY-MM", help="last (default %(default)s)")
    parser.add_argument("--label", default="median", metavar="median|mean", help="mean breaks the label on purpose")
    args = parser.parse_args()
    try:
        table = prepare(args.first, args.last, label=args.label)
    except ValueError as exc:
        parser.error(str(exc))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(to_arrow(table), args.out)
    price = f"${table['median_price'].median():,.0f}"
    print(f"{args.out}: {len(table):,} months of {table['city'].nunique()} towns, half of them up to {price}")


if __name__ == "__main__":
    main()
