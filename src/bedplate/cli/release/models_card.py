"""`bedplate models card`: a version's card, as Markdown, as JSON, and in SageMaker."""

from __future__ import annotations

from pathlib import Path

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, remark, where


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option(
    "--markdown", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it here as Markdown."
)
@click.option("--sagemaker", is_flag=True, help="Create or update the version's model card in SageMaker.")
@options.stack
@options.as_json
def card(model: str, markdown: Path | None, sagemaker: bool, stack: str, as_json: bool) -> None:
    """Print the card of a version (the newest one without VERSION): use, limits, figures, gates, approval, lineage.

    It is Markdown, made anew each time from registry, ledger and evaluation. With --sagemaker the same becomes a
    SageMaker model card, one for each version; when nothing changed since, nothing is written. --json prints the
    content of that card.

    \b
    Examples:
      bedplate models card flight-delay:3
      bedplate models card flight-delay:3 --markdown CARD.md --sagemaker
    """
    from bedplate.domain.versions.card import to_markdown, to_sagemaker
    from bedplate.wiring import connect
    from bedplate.workflows.versions.card import gather, publish

    name, version = options.model_and_version(model)
    at = connect(options.project_dir(), stack)
    found = gather(at, name, version)
    published = None
    if sagemaker:
        if not as_json:
            where(at.label)
        published = publish(at, at.cards, found)
        remark(f"SageMaker model card: {published[0]}, version {published[1]}")
    if markdown:
        markdown.write_text(to_markdown(found), encoding="utf-8")
        remark(f"Markdown: {markdown}")
    if as_json:
        arn, number = published or (None, None)
        emit_json({"model_card_arn": arn, "model_card_version": number, "content": to_sagemaker(found)})
    elif not (markdown or sagemaker):
        out().print(to_markdown(found), markup=False, highlight=False, soft_wrap=True, end="")
