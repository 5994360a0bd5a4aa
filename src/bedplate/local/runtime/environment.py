"""What a container's process finds around it: its environment, and `/opt/ml` below another folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

CONTAINER_ROOT = "BEDPLATE_CONTAINER_ROOT"
_OURS = ("AWS_", "BEDPLATE_", "PULUMI_", "SAGEMAKER_", "SM_", "MOTO_")
_ROOT = re.compile(r"(?<![\w/.-])/opt/ml(?=/|\s|$)")


def relocated(text: str, root: Path) -> str:
    """Every path at or below `/opt/ml` in a text, moved below `root`; addresses such as s3:// are left alone.

    >>> relocated("--out=/opt/ml/output", Path("/tmp/job"))
    '--out=/tmp/job/output'
    >>> relocated("s3://bucket/opt/ml/x", Path("/tmp/job"))
    's3://bucket/opt/ml/x'
    """
    return _ROOT.sub(lambda _: str(root), text)


def environment(
    root: Path,
    asked: Mapping[str, str],
    *,
    region: str,
    threads: int,
    around: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of a container's process: this machine's without anything of AWS in it, then what was asked for.

    No credentials and no endpoint get in, and none of the user's files with credentials are read: a script that
    reaches for AWS on the laptop fails instead of reaching it. `threads` bounds OpenMP and BLAS where the request does
    not. `around` is this process's environment.
    """
    around = os.environ if around is None else around
    count = str(max(1, threads))
    return {
        **{k: v for k, v in around.items() if not k.startswith(_OURS)},
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "OMP_WAIT_POLICY": "PASSIVE",
        **{k: relocated(v, root) for k, v in asked.items()},
        CONTAINER_ROOT: str(root),
    }


def command_of(entrypoint: Sequence[str], arguments: Sequence[str], root: Path, python: str) -> list[str]:
    """The command a request gives, with `python` for any interpreter of that name and paths moved below `root`.

    >>> command_of(["python3", "-m", "x"], ["--in", "/opt/ml/processing"], Path("/j"), "/venv/python")
    ['/venv/python', '-m', 'x', '--in', '/j/processing']
    """
    first, *rest = [*entrypoint, *arguments]
    name = first.rsplit("/", 1)[-1]
    program = python if re.fullmatch(r"python(3(\.\d+)?)?", name) else relocated(first, root)
    return [program, *(relocated(a, root) for a in rest)]
