"""`bedplate models sbom`: list the packages of a version's image, and check them for known vulnerabilities."""

from __future__ import annotations

from pathlib import Path

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, print_table, warn
from bedplate.errors import GateFailed, NotEnoughData


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--out", "path", type=click.Path(dir_okay=False, path_type=Path), help="Write the CycloneDX file here.")
@click.option(
    "--check", is_flag=True, help="Look the packages up in the index of published vulnerabilities (pip-audit)."
)
@options.stack
@options.as_json
def sbom(model: str, path: Path | None, check: bool, stack: str, as_json: bool) -> None:
    """List the packages of a version's image: its software bill of materials.

    The image is the one that the version was trained in; the document is verified by its hash. --json prints the
    document itself (CycloneDX 1.6), with --check the findings. Changes nothing.

    \b
    Examples:
      bedplate models sbom flight-delay:3
      bedplate models sbom flight-delay:3 --out sbom.cdx.json
      bedplate models sbom flight-delay:3 --check

    \b
    Exit codes:
      0  no findings, or --check was not given
      3  vulnerabilities that gates.vulnerabilities.allow does not list
      6  the index could not be reached
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.domain.versions.sbom import parse_cyclonedx
    from bedplate.workflows.training.sbom import read_sbom, scan_version
    from bedplate.workflows.versions.models import find_version

    name, version = options.parse_model_version(model)
    connection = options.connect(stack)
    package = find_version(connection, name, version)
    document = read_sbom(connection, package)
    if path:
        path.write_bytes(document)
        warn(f"CycloneDX: {path}")
    if not check:
        if as_json:
            click.echo(document.decode())
        elif not path:
            packages = [(p.name, p.version) for p in parse_cyclonedx(document)]
            print_table(f"{name}:{package.version}", ("Package", "Version"), packages)
        return
    scan = scan_version(connection, package, progress_reporter(quiet=as_json))
    gate = connection.model(name).gates.vulnerabilities
    allowed = gate.allow if gate else ()
    open_findings = [finding for finding in scan.findings if not finding.is_listed(allowed)]
    if as_json:
        emit_json({"model": name, "version": package.version, "error": scan.error, "checked": scan.packages_checked,
                   "skipped": scan.skipped, "findings": scan.findings, "open": len(open_findings)})  # fmt: skip
    else:
        columns = ("Package", "Version", "Id", "Aliases", "Fixed in", "Open")
        rows = [
            (
                f.package,
                f.version,
                f.id,
                ", ".join(f.aliases),
                ", ".join(f.fixed_in) or "-",
                "yes" if f in open_findings else "",
            )
            for f in scan.findings
        ]
        if rows:
            print_table(None, columns, rows)
        console().print(f"{scan.packages_checked} packages checked, {len(open_findings)} findings that are not allowed")
    if scan.error:
        raise NotEnoughData(f"The index could not be reached: {scan.error}", next_step="the same command, online")
    if open_findings:
        first = open_findings[0]
        raise GateFailed(
            f"{len(open_findings)} known vulnerabilities, the first is {first.id} of {first.package} {first.version}",
            next_step="install newer packages in the image, or list it in gates.vulnerabilities.allow of model.yaml",
        )
