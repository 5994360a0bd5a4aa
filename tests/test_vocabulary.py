"""Every name that the project defines says what it holds, in the words of docs/vocabulary.md.

A name is anything that the code binds: a variable, a parameter, a field, a function, a class, a module. Names that
Python or a library dictates are not ours; `EXCEPTIONS` lists the few others that stay, each with its reason.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from repository import ROOT

ROOMS = ("src", "infra", "tests")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RETIRED_WORDS = _words(
    """
    told found asked said seen held made known wanted kept
    answer answers answered spoken say says silent mend mends mended lay laying laid starved fed forsaken chronicle
    weigh weighed undone struck stretches illegible belongings strayed blame leash surroundings shelf quicken soundness
    lawful willing handover keeper judged continuity inquiry patience objections objection clashes refused translated
    moment figure figures done what least most apart nobody anew chance remark doing
    """
)
"""Retired wherever they stand in a name: `told`, `_told_at`, `ToldRecord`."""
RETIRED_NAMES = _words(
    """
    one by below chosen watched queued on_demand is_queue forbidden where out refuse World Look Weigh Means Way Standing
    TakeUp Prove End settle Chance Inquiry Continuity Edge Asked Spent Answer Shelf Bench Illegible inside ending
    holding watching
    """
)
"""Retired as whole names only; as parts of longer ones they are ordinary English."""
VERBS = _words("read put set cut let hit shut split reset need feed seed embed proceed exceed speed shed")
"""Verbs and nouns that look like participles."""
PARTICIPLES = _words(
    """
    told found asked said seen held made known wanted kept taken given shown sent left built gone begun drawn written
    spoken chosen laid struck fed met felt lost paid sold bought brought taught thought caught meant heard hidden broken
    frozen stolen worn sworn undone done bound grown thrown fallen driven risen woken
    """
)

EXCEPTIONS: dict[str, str] = {
    "NotFound": "the usual name of the error for HTTP 404 and for AWS's ResourceNotFound",
}
"""Name -> why it stays. At most 20."""


class Name(NamedTuple):
    kind: str
    name: str
    place: str


def python_files() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def names_in(path: Path) -> Iterator[Name]:
    """Every name that a file binds, its own stem first."""
    relative = path.relative_to(ROOT)
    yield Name("module", path.stem.removeprefix("test_"), str(relative))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        place = f"{relative}:{getattr(node, 'lineno', 0)}"
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield Name("function", name, place)
            case ast.ClassDef(name=name):
                yield Name("class", name, place)
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.ExceptHandler(name=str(name)):
                yield Name("variable", name, place)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield Name("variable", name, place)
            case ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self")):
                yield Name("field", name, place)


def words_of(name: str) -> list[str]:
    """The words of a name in snake case or in camel case.

    >>> words_of("_told_at"), words_of("EndpointView"), words_of("HTTPServer")
    (['told', 'at'], ['endpoint', 'view'], ['http', 'server'])
    """
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+", name)
    return [part.lower() for part in parts]


def is_participle(word: str) -> bool:
    """Whether a word is a past participle, and not a verb or noun that looks like one."""
    return word not in VERBS and (word in PARTICIPLES or bool(re.fullmatch(r"[a-z]{2,}ed", word)))


def fault_of(kind: str, name: str) -> str | None:
    """Why a name is not one of ours; None when it is."""
    bare = name.strip("_")
    if name in EXCEPTIONS or bare in EXCEPTIONS or re.fullmatch(r"__\w+__", name):
        return None
    if kind == "function" and bare.startswith("test_"):
        return None  # a claim in words, not the name of a thing
    words = words_of(bare)
    retired = RETIRED_WORDS.intersection(words)
    if retired:
        return f"retired word {min(retired)!r}"
    if bare in RETIRED_NAMES:
        return "retired name"
    if kind == "function" and len(words) == 1 and is_participle(words[0]):
        return "a function that is a bare participle"
    return None


@pytest.mark.parametrize("room", ROOMS)
def test_no_name_is_a_retired_word(room: str) -> None:
    faults = [
        f"{place}: {kind} {name}: {fault}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for kind, name, place in names_in(path)
        if (fault := fault_of(kind, name)) is not None
    ]
    assert not faults, f"{len(faults)} names, see docs/vocabulary.md:\n" + "\n".join(faults)


def test_the_exceptions_are_few_and_each_has_a_reason() -> None:
    bound = {name.strip("_") for path in python_files() for _, name, _ in names_in(path)}
    assert len(EXCEPTIONS) <= 20
    assert all(len(reason) > 20 for reason in EXCEPTIONS.values())
    assert set(EXCEPTIONS) <= bound, "an exception that nothing uses"


MOTO_CLASSES = frozenset({"Backend", "Response"})
"""What moto calls its own two classes of every service; ours subclass them under the same names."""


def test_no_class_name_occurs_twice() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "src" / "bedplate").rglob("*.py")):
        for kind, name, place in names_in(path):
            if kind == "class" and name not in MOTO_CLASSES and "templates" not in path.parts:
                places[name].append(place)
    assert {name: where_bound for name, where_bound in places.items() if len(where_bound) > 1} == {}


MODULES_IN_A_FOLDER = 25
LINES_IN_A_MODULE = 400


def test_no_folder_is_too_full() -> None:
    counts = {
        str(folder.relative_to(ROOT)): len(list(folder.glob("*.py")))
        for folder in (ROOT / "src").rglob("*")
        if folder.is_dir()
    }
    assert {folder: n for folder, n in counts.items() if n > MODULES_IN_A_FOLDER} == {}


def test_no_module_is_too_long() -> None:
    paths = [path for room in ("src", "infra") for path in (ROOT / room).rglob("*.py")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {path: n for path, n in lines.items() if n > LINES_IN_A_MODULE} == {}
