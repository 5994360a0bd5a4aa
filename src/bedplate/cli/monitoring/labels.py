"""`bedplate labels`: outcomes that became known later."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bedplate.cli import options


@click.group("labels")
def command() -> None:
    """Add outcomes that became known after the prediction, so that the monitor can judge it."""


@command.command("add")
@options.model
@click.argument("file", metavar="FILE")
@options.stack
@options.as_json
def add(model: str, file: str, stack: str, as_json: bool) -> None:
    """Add labels from FILE (Parquet or JSON Lines, - for standard input): the key columns and the label of each row.

    Says how many of the captured answers have an outcome now. Adding the same file again changes nothing. Labels of
    captured requests are also written as SageMaker's ground truth, for the schedules of model quality and bias.

    \b
    Examples:
      bedplate labels add flight-delay july-outcomes.parquet
      echo '{"flight_id": "2013-07-01-UA-EWR-1515", "delayed": 1}' | bedplate labels add flight-delay -
    """
    from bedplate.wiring import connect
    from bedplate.workflows.data.rows import json_lines, read_rows
    from bedplate.workflows.watch.labels import add_labels

    platform = connect(options.project_dir(), stack)
    contract = platform.model(model).data
    rows = json_lines(sys.stdin.buffer, source="standard input") if file == "-" else read_rows(Path(file))[1]
    wanted = (*contract.keys, contract.label, "label")
    added = add_labels(platform, model, ({k: row[k] for k in wanted if k in row} for row in rows))
    if as_json:
        from bedplate.cli.views.render import emit_json

        emit_json(
            {
                "uri": added.uri,
                "labels": added.labels,
                "new": added.new,
                "positives": added.positives,
                "answers": added.join.answers,
                "matched": added.join.matched,
                "ground_truth": added.truths,
                "ground_truth_uri": added.ground_truth_uri,
            }
        )
        return
    share = f", {100 * added.positives / added.labels:.1f} % positive" if added.positives is not None else ""
    click.echo(f"{added.labels:,} labels{share}{'' if added.new else ': they had been added before'}")
    click.echo(
        f"{added.join.matched:,} of the {added.join.answers:,} latest captured answers have an outcome now "
        f"({added.join.matched_pct:.0f} %)"
    )
    if added.ground_truth_uri:
        click.echo(f"Ground truth of {added.truths:,} requests: {added.ground_truth_uri}")
