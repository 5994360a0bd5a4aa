"""Formats values of a Pulumi state in Terraform's JSON syntax: escaped, and as references to other resources."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bedplate.engine.terraform.names import snake_case

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key that marks secrets, assets and archives in Pulumi's wire format; its value says which of them it is."""
SECRET, ASSET = "1b47061264138c4ac30d75fd1eb44270", "c44067f5952c0a294b673a41bacd8c17"
REFERENCED_OUTPUTS = ("arn", "id", "name", "bucket", "repositoryUrl", "keyId", "resourceId", "url", "executionArn")
"""Outputs that other resources refer to, the most specific first."""
MIN_SUBSTRING_LENGTH = 16
"""The shortest value, in characters, that is replaced within a longer text (a policy, a URI)."""


@dataclass(frozen=True, slots=True)
class References:
    """Values of the resources that a property depends on -> Terraform expression (`aws_s3_bucket.data.arn`)."""

    expressions: Mapping[str, str] = field(default_factory=dict)

    def substitute(self, text: str) -> str:
        """Escapes a text for the configuration and replaces the values of other resources by references.

        >>> References({"arn:aws:s3:::data-1234": "aws_s3_bucket.data.arn"}).substitute("arn:aws:s3:::data-1234/*")
        '${aws_s3_bucket.data.arn}/*'
        >>> References().substitute("${x}")
        '$${x}'
        """
        if text in self.expressions:
            return f"${{{self.expressions[text]}}}"
        values = sorted((v for v in self.expressions if len(v) >= MIN_SUBSTRING_LENGTH), key=len, reverse=True)
        if not values:
            return escape(text)
        parts = re.split(f"({'|'.join(map(re.escape, values))})(?![-_.A-Za-z0-9])", text)
        return "".join(f"${{{self.expressions[p]}}}" if p in self.expressions else escape(p) for p in parts)


def escape(text: str) -> str:
    """Escapes a text so that Terraform does not read `${` and `%{` as expressions."""
    return text.replace("${", "$${").replace("%{", "%%{")


def signature_of(value: Any) -> str | None:
    """Returns the signature of a secret, an asset or an archive, or None for any other value."""
    return value.get(SIGNATURE) if isinstance(value, dict) else None


def build_references(resources: Sequence[tuple[str, Mapping[str, Any]]]) -> References:
    """References to resources given as (address, outputs); the first resource with a value is the one referred to."""
    expressions: dict[str, str] = {}
    for output in REFERENCED_OUTPUTS:
        for address, outputs in resources:
            value = outputs.get(output)
            if isinstance(value, str) and value:
                expressions.setdefault(value, f"{address}.{snake_case(output)}")
    return References(expressions)
