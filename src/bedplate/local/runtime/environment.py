"""Builds the environment variables and the command of a container's process, with `/opt/ml` in another folder."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CONTAINER_ROOT = "BEDPLATE_CONTAINER_ROOT"
_DROPPED_PREFIXES = ("AWS_", "BEDPLATE_", "PULUMI_", "SAGEMAKER_", "SM_", "MOTO_")
_ROOT = re.compile(r"(?<![\w/.-])/opt/ml(?=/|\s|$)")


def relocate(text: str, root: Path) -> str:
    """Returns the text with every path at or below `/opt/ml` moved to `root`; URIs such as s3:// stay unchanged.

    >>> relocate("--out=/opt/ml/output", Path("/tmp/job"))
    '--out=/tmp/job/output'
    >>> relocate("s3://bucket/opt/ml/x", Path("/tmp/job"))
    's3://bucket/opt/ml/x'
    """
    return _ROOT.sub(lambda _: str(root), text)


def container_environment(
    root: Path,
    requested: Mapping[str, str],
    *,
    region: str,
    threads: int,
    inherited: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Returns the inherited variables without those of AWS, SageMaker and Bedplate, then the requested ones.

    The result has no credentials and no endpoint, and hides the user's credential files, so that a script on the
    laptop cannot reach AWS. `threads` limits OpenMP and BLAS unless the request sets a limit. `inherited` defaults to
    this process's environment.
    """
    inherited = os.environ if inherited is None else inherited
    count = str(max(1, threads))
    return {
        **{k: v for k, v in inherited.items() if not k.startswith(_DROPPED_PREFIXES)},
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "OMP_WAIT_POLICY": "PASSIVE",
        **{k: relocate(v, root) for k, v in requested.items()},
        CONTAINER_ROOT: str(root),
    }


def build_command(
    specification: Mapping[str, Any], root: Path, container_command: Sequence[str], verb: str
) -> list[str]:
    """Returns the command of an AlgorithmSpecification or AppSpecification, with paths moved to `root`.

    Replaces `python` and `python3` by this process's interpreter. Without an entrypoint the command is
    `container_command` with the arguments, or with `verb` where there are none.

    >>> app = {"ContainerEntrypoint": ["python3", "-m", "x"], "ContainerArguments": ["--in", "/opt/ml/processing"]}
    >>> build_command(app, Path("/j"), ["image"], "monitor")[1:]
    ['-m', 'x', '--in', '/j/processing']
    >>> build_command({}, Path("/j"), ["image"], "monitor")
    ['image', 'monitor']
    """
    entrypoint, arguments = specification.get("ContainerEntrypoint"), specification.get("ContainerArguments") or []
    if not entrypoint:
        return [*container_command, *(arguments or [verb])]
    program, *options = [relocate(word, root) for word in (*entrypoint, *arguments)]
    is_python = re.fullmatch(r"python(3(\.\d+)?)?", program.rsplit("/", 1)[-1])
    return [sys.executable if is_python else program, *options]
