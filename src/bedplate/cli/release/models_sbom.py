"""`bedplate models sbom`: the packages of a version's image, and what is known against them."""

from __future__ import annotations

from pathlib import Path

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, remark, table
from bedplate.errors import GateFailed, NotEnoughData


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--out", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the CycloneDX file here.")
@click.option("--check", is_flag=True, help="Ask the index of published vulnerabilities, by pip-audit.")
@options.stack
@options.as_json
def sbom(model: str, file: Path | None, check: bool, stack: str, as_json: bool) -> None:
    """List the packages of the image that a version was trained in: its bill of materials, checked by its hash.

    --json prints the bill itself (CycloneDX 1.6), with --check what was found. Exit codes of --check: 0 nothing is
    known against them beside what gates.vulnerabilities.allow names, 3 something is, 6 the index could not be asked.

    \b
    Examples:
      bedplate models sbom flight-delay:3
      bedplate models sbom flight-delay:3 --out sbom.cdx.json
      bedplate models sbom flight-delay:3 --check
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.domain.versions.sbom import packages_in
    from bedplate.wiring import connect
    from bedplate.workflows.training.sbom import sbom_of, scan
    from bedplate.workflows.versions.models import find_version

    name, version = options.model_and_version(model)
    at = connect(options.project_dir(), stack)
    package = find_version(at, name, version)
    bill = sbom_of(at, package)
    if file:
        file.write_bytes(bill)
        remark(f"CycloneDX: {file}")
    if not check:
        if as_json:
            click.echo(bill.decode())
        elif not file:
            table(f"{name}:{package.version}", ("Package", "Version"), [(p.name, p.version) for p in packages_in(bill)])
        return
    found = scan(at, package, say_silently if as_json else say_progress)
    gate = at.model(name).gates.vulnerabilities
    allowed = gate.allow if gate else ()
    open_ones = [f for f in found.findings if not f.named(allowed)]
    if as_json:
        emit_json({"model": name, "version": package.version, "trouble": found.trouble, "checked": found.checked,
                   "skipped": found.skipped, "findings": found.findings, "open": len(open_ones)})  # fmt: skip
    else:
        rows = [
            (f.package, f.version, f.id, ", ".join(f.aliases), ", ".join(f.fixed_in) or "-", _word(f.named(allowed)))
            for f in found.findings
        ]
        if rows:
            table(None, ("Package", "Version", "Id", "Also", "Fixed in", ""), rows)
        out().print(f"{found.checked} packages asked about, {len(open_ones)} findings that nobody allowed")
    if found.trouble:
        raise NotEnoughData(f"The index could not be asked: {found.trouble}", next_step="the same command, connected")
    if open_ones:
        first = open_ones[0]
        raise GateFailed(
            f"{len(open_ones)} known vulnerabilities, the first is {first.id} of {first.package} {first.version}",
            next_step="newer packages in the image, or gates.vulnerabilities.allow in model.yaml",
        )


def _word(allowed: bool) -> str:
    return "allowed" if allowed else ""
