"""A reviewer sees what differs, however long the values are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bedplate.cli.views.differences import MOST, differences
from bedplate.cli.views.stack_view import change_text
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


def test_two_long_texts_show_where_they_part() -> None:
    told = change_text(Change("image", f"{IMAGE}latest", f"{IMAGE}3f2a9c01", replaces=True))
    assert told == "image: …plate-local:latest → …plate-local:3f2a9c01 (forces replacement)"


def test_a_policy_shows_the_statement_that_changes_though_another_came_before_it() -> None:
    reads = {"Sid": "Read", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    less = {**reads, "Action": ["s3:GetObject"]}
    new = {"Sid": "New", "Action": "sns:Publish"}
    assert differences(policy(reads), policy(new, less)) == [
        (".Statement[Read].Action", "s3:ListBucket", "(none)"),
        (".Statement[New]", "(none)", '{"Sid": "New", "Action": "sns:Publish"}'),
    ]


def test_lists_without_names_are_compared_place_by_place() -> None:
    assert differences([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}]) == [("[1].a", "2", "3")]


def test_the_same_words_in_another_order_are_a_difference() -> None:
    assert differences(["a", "b"], ["b", "a"]) == [("[0]", "a", "b"), ("[1]", "b", "a")]


def test_texts_that_mean_the_same_json_are_shown_as_they_are() -> None:
    assert differences('{"a": 1}', '{"a":1}') == [("", '{"a": 1}', '{"a":1}')]


def test_what_is_not_known_yet_and_what_is_none_are_words() -> None:
    assert change_text(Change("arn", None, UNKNOWN)) == "arn: (none) → (known after apply)"


def test_of_many_differences_the_first_are_shown_and_the_rest_counted() -> None:
    told = change_text(Change("p", {str(i): 0 for i in range(20)}, {str(i): 1 for i in range(20)}))
    assert len(told.splitlines()) == MOST + 1
    assert told.endswith(f"p: and {20 - MOST} more")
