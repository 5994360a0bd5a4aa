"""Validates values with a pydantic model and finds all errors at once, including those that other errors hide."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from bedplate.settings.positions import KeyPath
from bedplate.settings.types import ConflictingValues

M = TypeVar("M", bound=BaseModel)
_MAX_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error of the value at `path`; `related_paths` are all keys that it follows from, `path` among them."""

    path: KeyPath
    message: str
    related_paths: tuple[KeyPath, ...]

    @property
    def key(self) -> str:
        return ".".join(str(part) for part in self.path) or "(the whole file)"


def validate(
    schema: type[M], values: Mapping[str, Any], placeholders: Mapping[str, Any]
) -> tuple[M | None, tuple[FieldError, ...]]:
    """Returns (parsed, errors) for values; with errors, `parsed` is built from the valid part of the values.

    Pydantic checks whether values agree with each other only after each of them is valid. So invalid values are removed
    and the remaining ones are validated again, until no new error appears. A required key gets its valid value from
    `placeholders`. Errors that follow from a removed value are not reported. `parsed` is None when even the remaining
    values contradict each other.
    """
    try:
        return schema.model_validate(values), ()
    except ValidationError as exc:
        errors = _field_errors(schema, values, exc)
    remaining: Any = copy.deepcopy(dict(values))
    removed: list[KeyPath] = []
    parsed: M | None = None
    latest = errors
    for _ in range(_MAX_ROUNDS):
        for error in latest:
            _remove(remaining, error.path, placeholders)
            removed += error.related_paths
        try:
            parsed = schema.model_validate(remaining)
            break
        except ValidationError as exc:
            current = _field_errors(schema, remaining, exc)
        if not current or {error.path for error in current} <= {error.path for error in latest}:
            break
        errors += [e for e in current if not any(_overlap(path, r) for path in e.related_paths for r in removed)]
        latest = current
    return parsed, tuple(errors)


def _overlap(a: KeyPath, b: KeyPath) -> bool:
    shorter = min(len(a), len(b))
    return a[:shorter] == b[:shorter]


def _field_errors(schema: type[BaseModel], values: Any, exc: ValidationError) -> list[FieldError]:
    by_path: dict[KeyPath, list[FieldError]] = {}
    for details in exc.errors(include_url=False):
        for error in _parse_error(schema, values, details):
            by_path.setdefault(error.path, []).append(error)
    return [error for errors in by_path.values() for error in _merge_alternatives(errors)]


def _merge_alternatives(errors: list[FieldError]) -> list[FieldError]:
    """Merges the errors of one value that has alternative types (a list or the word 'all') into one."""
    messages = list(dict.fromkeys(error.message for error in errors))
    if len(messages) < 2 or not all(message.startswith("input should be") for message in messages):
        return errors
    expected = " or ".join(message[: message.rfind(" (found")] for message in messages)
    value = messages[-1][messages[-1].rfind(" (found") :]
    return [FieldError(errors[0].path, expected + value, errors[0].related_paths)]


def _parse_error(schema: type[BaseModel], values: Any, details: Any) -> Iterator[FieldError]:
    path = _path_in_file(values, details["loc"], details["type"])
    exc = details.get("ctx", {}).get("error")
    if isinstance(exc, ConflictingValues):
        for message, *keys in exc.errors:
            paths = tuple((*path, *_parse_key(key)) for key in keys) or (path,)
            yield FieldError(paths[0], message, paths)
        return
    yield FieldError(path, _format_message(schema, path, details), (path,))


def _parse_key(key: str) -> KeyPath:
    return tuple(int(part) if part.isdigit() else part for part in key.split("."))


def _path_in_file(values: Any, location: tuple[str | int, ...], error_type: str) -> KeyPath:
    """Returns pydantic's location without the names that it adds for the members of a union."""
    path: list[str | int] = []
    for i, part in enumerate(location):
        is_mapping = isinstance(values, Mapping)
        if not (part in values if is_mapping else isinstance(values, list | tuple) and part != "[key]"):
            if error_type == "missing" and i == len(location) - 1:
                path.append(part)
            break
        path.append(part)
        values = values[part] if is_mapping or isinstance(part, int) else None
    return tuple(path)


def _format_message(schema: type[BaseModel], path: KeyPath, details: Any) -> str:
    if details["type"] == "missing":
        return "required, but missing"
    if details["type"] == "extra_forbidden":
        return "unknown key" + _did_you_mean(str(path[-1]), _keys_at(schema, path[:-1]))
    message = details["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if details["type"] == "value_error":
        return str(message)
    hint = ""
    if details["type"] == "literal_error" and isinstance(details["input"], str):
        hint = _did_you_mean(details["input"], re.findall(r"'([^']*)'", message))
    return f"{message} (found {details['input']!r:.80}){hint}"


def _did_you_mean(word: str, candidates: list[str]) -> str:
    matches = get_close_matches(word, candidates, n=1, cutoff=0.6)
    return f", did you mean {matches[0]}?" if matches else ""


def _keys_at(schema: type[BaseModel], path: KeyPath) -> list[str]:
    """Returns the keys that are allowed at a path."""
    model: type[BaseModel] | None = schema
    for part in path:
        if model is not None:
            field = model.model_fields.get(str(part))
            model = _find_model(field.annotation) if field else None
    return list(model.model_fields) if model else []


def _find_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for arg in get_args(annotation) if (model := _find_model(arg)) is not None), None)


def _remove(values: Any, path: KeyPath, placeholders: Mapping[str, Any]) -> None:
    """Removes the value at the path; a list is removed as a whole, and so is a mapping without a required key."""
    if not path:
        return
    if path[0] in placeholders:
        values[path[0]] = placeholders[str(path[0])]
        return
    for part in path[:-2]:
        if not isinstance(values[part], dict):
            path = (part,)
            break
        values = values[part]
    if len(path) > 1 and isinstance(values.get(path[-2]), dict) and path[-1] in values[path[-2]]:
        del values[path[-2]][path[-1]]
    else:
        values.pop(path[-2] if len(path) > 1 else path[0], None)
