"""`bedplate labels`: add labels that became known after the prediction."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json


@click.group("labels")
def command() -> None:
    """Add labels that became known after the prediction, so that monitoring can measure the model's quality."""


@command.command("add")
@options.model
@click.argument("file", metavar="FILE")
@options.stack
@options.as_json
def add(model: str, file: str, stack: str, as_json: bool) -> None:
    """Add labels from FILE: the key columns and the label of each row.

    FILE is Parquet or JSON Lines; - reads JSON Lines from standard input. Prints how many captured predictions have a
    label now. Labels of captured requests are also written as SageMaker's ground truth, for the schedules of model
    quality and bias. Adding the same file again changes nothing.

    \b
    Examples:
      bedplate labels add flight-delay july-outcomes.parquet
      echo '{"flight_id": "2013-07-01-UA-EWR-1515", "delayed": 1}' | bedplate labels add flight-delay -
    """
    from bedplate.workflows.data.rows import read_json_lines, read_rows
    from bedplate.workflows.watch.labels import add_labels

    connection = options.connect(stack)
    contract = connection.model(model).data
    rows = read_json_lines(sys.stdin.buffer, source="standard input") if file == "-" else read_rows(Path(file))[1]
    columns = (*contract.keys, contract.label, "label")
    result = add_labels(connection, model, ({k: row[k] for k in columns if k in row} for row in rows))
    if as_json:
        emit_json(
            {
                "uri": result.uri,
                "labels": result.labels,
                "new": result.is_new,
                "positives": result.positives,
                "predictions": result.join.predictions,
                "matched": result.join.matched,
                "ground_truth_records": result.ground_truth_records,
                "ground_truth_uri": result.ground_truth_uri,
            }
        )
        return
    share = f", {100 * result.positives / result.labels:.1f} % positive" if result.positives is not None else ""
    click.echo(f"{result.labels:,} labels{share}{'' if result.is_new else ': already added before'}")
    click.echo(
        f"{result.join.matched:,} of the latest {result.join.predictions:,} captured predictions have a label now "
        f"({result.join.matched_pct:.0f} %)"
    )
    if result.ground_truth_uri:
        click.echo(f"Ground truth of {result.ground_truth_records:,} requests: {result.ground_truth_uri}")
