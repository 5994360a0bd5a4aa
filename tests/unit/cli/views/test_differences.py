"""Long property values are shown by their differences."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bedplate.cli.views.differences import MAX_DIFFERENCES, differences
from bedplate.cli.views.stack_view import format_change
from bedplate.domain.stacks.plan import UNKNOWN

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/bedplate-local:"


@dataclass(frozen=True)
class Change:
    path: str
    old: Any
    new: Any
    replaces: bool = False


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def test_two_long_texts_are_shown_from_their_first_difference() -> None:
    text = format_change(Change("image", f"{IMAGE}latest", f"{IMAGE}3f2a9c01", replaces=True))
    assert text == "image: …plate-local:latest → …plate-local:3f2a9c01 (forces replacement)"


def test_a_policy_is_compared_statement_by_statement() -> None:
    read = {"Sid": "Read", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    reduced = {**read, "Action": ["s3:GetObject"]}
    new = {"Sid": "New", "Action": "sns:Publish"}
    assert differences(policy(read), policy(new, reduced)) == [
        (".Statement[Read].Action", "s3:ListBucket", "(none)"),
        (".Statement[New]", "(none)", '{"Sid": "New", "Action": "sns:Publish"}'),
    ]


def test_lists_without_sids_are_compared_index_by_index() -> None:
    assert differences([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}]) == [("[1].a", "2", "3")]


def test_the_same_strings_in_another_order_are_a_difference() -> None:
    assert differences(["a", "b"], ["b", "a"]) == [("[0]", "a", "b"), ("[1]", "b", "a")]


def test_texts_with_equal_json_are_shown_as_they_are() -> None:
    assert differences('{"a": 1}', '{"a":1}') == [("", '{"a": 1}', '{"a":1}')]


def test_unknown_and_missing_values_are_shown_in_words() -> None:
    assert format_change(Change("arn", None, UNKNOWN)) == "arn: (none) → (known after apply)"


def test_of_many_differences_the_first_are_shown_and_the_others_counted() -> None:
    text = format_change(Change("p", {str(i): 0 for i in range(20)}, {str(i): 1 for i in range(20)}))
    assert len(text.splitlines()) == MAX_DIFFERENCES + 1
    assert text.endswith(f"p: and {20 - MAX_DIFFERENCES} more")
