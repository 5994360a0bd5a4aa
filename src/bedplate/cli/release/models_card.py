"""`bedplate models card`: print a version's model card, or write it to a file or to SageMaker."""

from __future__ import annotations

from pathlib import Path

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, print_target, warn


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it to FILE.")
@click.option("--sagemaker", is_flag=True, help="Create or update the version's model card in SageMaker.")
@options.stack
@options.as_json
def card(model: str, markdown: Path | None, sagemaker: bool, stack: str, as_json: bool) -> None:
    """Print a version's model card as Markdown, or write it to SageMaker.

    The card shows use, limits, metrics, gates, approval and lineage of the version (the newest without VERSION). It is
    generated from registry, ledger and evaluation. --sagemaker also writes it as a SageMaker model card, one per
    version; an unchanged card is not written again. --json prints the content of the SageMaker card.

    \b
    Examples:
      bedplate models card flight-delay:3
      bedplate models card flight-delay:3 --markdown CARD.md --sagemaker
    """
    from bedplate.domain.versions.card import to_markdown, to_sagemaker
    from bedplate.workflows.versions.card import load_card, publish_card

    name, version = options.parse_model_version(model)
    connection = options.connect(stack)
    version_card = load_card(connection, name, version)
    published = None
    if sagemaker:
        if not as_json:
            print_target(connection.label)
        published = publish_card(connection, connection.model_cards, version_card)
        warn(f"SageMaker model card: {published[0]}, version {published[1]}")
    if markdown:
        markdown.write_text(to_markdown(version_card), encoding="utf-8")
        warn(f"Markdown: {markdown}")
    if as_json:
        arn, number = published or (None, None)
        emit_json({"model_card_arn": arn, "model_card_version": number, "content": to_sagemaker(version_card)})
    elif not (markdown or sagemaker):
        console().print(to_markdown(version_card), markup=False, highlight=False, soft_wrap=True, end="")
