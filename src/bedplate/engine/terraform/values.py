"""Values of a Pulumi state as expressions of Terraform's JSON syntax: escaped, referring to what they came from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key under which Pulumi's wire format says that a value is something special."""
SECRET, ASSET, ARCHIVE = (
    "1b47061264138c4ac30d75fd1eb44270",
    "c44067f5952c0a294b673a41bacd8c17",
    "0def7320c3a5731c473e5ecbe6d01bc7",
)
REFERRED = ("arn", "id", "name", "bucket", "repositoryUrl", "keyId", "resourceId", "url", "executionArn")
"""Outputs that other resources refer to, the most telling first."""
INSIDE_TEXT = 16
"""A value is looked for within longer text (a policy, a URI) only from this length on."""


@dataclass(frozen=True, slots=True)
class References:
    """What the resources that a property depends on are called: value -> expression (`aws_s3_bucket.data.arn`)."""

    expressions: Mapping[str, str] = field(default_factory=dict)

    def used(self, text: str) -> str:
        """A string for the configuration: `${` escaped, known values replaced by references.

        >>> References({"arn:aws:s3:::data-1234": "aws_s3_bucket.data.arn"}).used("arn:aws:s3:::data-1234/*")
        '${aws_s3_bucket.data.arn}/*'
        >>> References().used("${x}")
        '$${x}'
        """
        if text in self.expressions:
            return f"${{{self.expressions[text]}}}"
        long = sorted((v for v in self.expressions if len(v) >= INSIDE_TEXT), key=len, reverse=True)
        if not long:
            return escaped(text)
        parts = re.split(f"({'|'.join(re.escape(v) for v in long)})(?![-_.A-Za-z0-9])", text)
        return "".join(f"${{{self.expressions[p]}}}" if p in self.expressions else escaped(p) for p in parts)


def escaped(text: str) -> str:
    """Text that Terraform takes literally."""
    return text.replace("${", "$${").replace("%{", "%%{")


def special(value: Any) -> str | None:
    """The signature of a secret, an asset or an archive; None for any other value."""
    return value.get(SIGNATURE) if isinstance(value, dict) else None


def expressions(references: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Value -> expression, of resources given as (address, outputs); the first that has a value keeps it."""
    from bedplate.engine.terraform.names import snake

    found: dict[str, str] = {}
    for output in REFERRED:
        for address, outputs in references:
            value = outputs.get(output)
            if isinstance(value, str) and value:
                found.setdefault(value, f"{address}.{snake(output)}")
    return found
