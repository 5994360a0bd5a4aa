"""Where SageMaker's directories are: `/opt/ml`, or below the folder that BEDPLATE_CONTAINER_ROOT names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

CONTAINER_ROOT = "BEDPLATE_CONTAINER_ROOT"
OPT_ML = Path("/opt/ml")


def root(environment: Mapping[str, str] = os.environ) -> Path:
    """
    >>> root({}).as_posix(), root({"BEDPLATE_CONTAINER_ROOT": "/tmp/job"}).as_posix()
    ('/opt/ml', '/tmp/job')
    """
    return Path(environment.get(CONTAINER_ROOT) or OPT_ML)


def relocated(path: str, below: Path) -> Path:
    """A path that names `/opt/ml`, below another root; any other path as it is.

    >>> relocated("/opt/ml/processing/input", Path("/tmp/job")).as_posix()
    '/tmp/job/processing/input'
    >>> relocated("/elsewhere", Path("/tmp/job")).as_posix()
    '/elsewhere'
    """
    found = Path(path)
    return below / found.relative_to(OPT_ML) if found.is_relative_to(OPT_ML) else found
