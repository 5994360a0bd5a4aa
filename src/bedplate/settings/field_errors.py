"""Every fault of a file's values at once, each with its key: also those that another fault would hide."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from bedplate.settings.positions import Path

M = TypeVar("M", bound=BaseModel)
_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with the value at `path`; `involved` are all keys that it follows from."""

    path: Path
    message: str
    involved: tuple[Path, ...]

    @property
    def key(self) -> str:
        return ".".join(str(part) for part in self.path) or "(the whole file)"


def find(
    kind: type[M], values: Mapping[str, Any], stand_ins: Mapping[str, Any]
) -> tuple[M | None, tuple[FieldError, ...]]:
    """Validate; the parsed value, or every fault.

    Pydantic looks at how values fit together only when each of them is right. So what is wrong is taken out (for a
    required key `stand_ins` has one that is right) and the rest is looked at again; a finding that follows from what
    was taken out is not told.
    """
    parsed, faults = _sift(kind, values, stand_ins)
    return (None if faults else parsed), faults


def salvage(kind: type[M], values: Mapping[str, Any], stand_ins: Mapping[str, Any]) -> M | None:
    """What is right of faulty values, with stand-ins and defaults in place of the rest, to look at what depends on it;
    None where even that does not fit together."""
    return _sift(kind, values, stand_ins)[0]


def _sift(
    kind: type[M], values: Mapping[str, Any], stand_ins: Mapping[str, Any]
) -> tuple[M | None, tuple[FieldError, ...]]:
    try:
        return kind.model_validate(values), ()
    except ValidationError as exc:
        faults = _faults(kind, values, exc)
    rest: Any = copy.deepcopy(dict(values))
    parsed: M | None = None
    out: list[Path] = []
    fresh = faults
    for _ in range(_ROUNDS):
        for fault in fresh:
            _take_out(rest, fault.path, stand_ins)
            out += fault.involved
        try:
            parsed = kind.model_validate(rest)
            break
        except ValidationError as exc:
            found = _faults(kind, rest, exc)
        hidden = [f for f in found if not any(_related(i, o) for i in f.involved for o in out)]
        if not found or {f.path for f in found} <= {f.path for f in fresh}:
            break
        faults += hidden
        fresh = found
    return parsed, tuple(faults)


def _related(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _faults(kind: type[BaseModel], values: Any, exc: ValidationError) -> list[FieldError]:
    told: dict[Path, list[FieldError]] = {}
    for error in exc.errors(include_url=False):
        for fault in _read(kind, values, error):
            told.setdefault(fault.path, []).append(fault)
    return [fault for faults in told.values() for fault in _alternatives(faults)]


def _alternatives(faults: list[FieldError]) -> list[FieldError]:
    """Several findings about one value that may be of several kinds (a list or the word 'all') are one fault."""
    texts = list(dict.fromkeys(f.message for f in faults))
    if len(texts) < 2 or not all(text.startswith("input should be") for text in texts):
        return faults
    found = texts[-1][texts[-1].rfind(" (found") :]
    return [FieldError(faults[0].path, " or ".join(t[: t.rfind(" (found")] for t in texts) + found, faults[0].involved)]


def _read(kind: type[BaseModel], values: Any, error: Any) -> Iterator[FieldError]:
    path = _within(values, error["loc"], error["type"])
    clashes = getattr(error.get("ctx", {}).get("error"), "clashes", None)
    if clashes is not None:
        for message, *keys in clashes:
            paths = tuple((*path, *_split(key)) for key in keys) or (path,)
            yield FieldError(paths[0], message, paths)
        return
    yield FieldError(path, _message(kind, path, error), (path,))


def _split(key: str) -> Path:
    return tuple(int(part) if part.isdigit() else part for part in key.split("."))


def _within(values: Any, loc: tuple[str | int, ...], kind: str) -> Path:
    """The location as the file spells it: without the names that pydantic gives to the members of a union."""
    path: list[str | int] = []
    for at, part in enumerate(loc):
        there = part in values if isinstance(values, Mapping) else isinstance(values, list | tuple) and part != "[key]"
        if not there:
            if kind == "missing" and at == len(loc) - 1:
                path.append(part)
            break
        path.append(part)
        values = values[part] if isinstance(values, Mapping) or isinstance(part, int) else None
    return tuple(path)


def _message(kind: type[BaseModel], path: Path, error: Any) -> str:
    if error["type"] == "missing":
        return "required, but missing"
    if error["type"] == "extra_forbidden":
        return "unknown key" + _did_you_mean(str(path[-1]), _keys_at(kind, path[:-1]))
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if error["type"] == "value_error":
        return str(message)
    hint = ""
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        hint = _did_you_mean(error["input"], re.findall(r"'([^']*)'", message))
    return f"{message} (found {error['input']!r:.80}){hint}"


def _did_you_mean(word: str, known: list[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f", did you mean {near[0]}?" if near else ""


def _keys_at(kind: type[BaseModel], path: Path) -> list[str]:
    """The keys that may stand at a path."""
    at: Any = kind
    for part in path:
        if isinstance(at, type) and issubclass(at, BaseModel):
            field = at.model_fields.get(str(part))
            at = _model_in(field.annotation) if field else None
    return list(at.model_fields) if isinstance(at, type) and issubclass(at, BaseModel) else []


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg)) is not None), None)


def _take_out(rest: Any, path: Path, stand_ins: Mapping[str, Any]) -> None:
    """Remove the value at the path; a list goes as a whole, and so does what lacks something required."""
    if not path:
        return
    if path[0] in stand_ins:
        rest[path[0]] = stand_ins[str(path[0])]
        return
    for part in path[:-2]:
        if not isinstance(rest[part], dict):
            path = (part,)
            break
        rest = rest[part]
    if len(path) > 1 and isinstance(rest.get(path[-2]), dict) and path[-1] in rest[path[-2]]:
        del rest[path[-2]][path[-1]]
    else:
        rest.pop(path[-2] if len(path) > 1 else path[0], None)
