"""Checks that a model's scripts define what they must, by reading them, without running a line of them."""

from __future__ import annotations

import ast

REQUIRED_IN_INFERENCE = ("model_fn", "predict_fn")
_WAYS_TO_SAY_MODEL_DIR = ("SM_MODEL_DIR", "model_dir", "model-dir", "/opt/ml/model")


def training_problems(source: str) -> tuple[str, ...]:
    """Faults of a training script: it must be Python, and must know where its model goes.

    >>> training_problems("import os\\nprint(os.environ['SM_MODEL_DIR'])")
    ()
    >>> training_problems("def f(:")
    ('line 1: invalid syntax',)
    >>> training_problems("print(1)")
    ('never mentions SM_MODEL_DIR, the folder that the model must be written to',)
    """
    tree, fault = _parse(source)
    if tree is None:
        return (fault,)
    if not any(way in source for way in _WAYS_TO_SAY_MODEL_DIR):
        return ("never mentions SM_MODEL_DIR, the folder that the model must be written to",)
    return ()


def inference_problems(source: str) -> tuple[str, ...]:
    """Faults of an inference script: it must be Python and define, or import, the functions that serving calls.

    >>> inference_problems("from other import model_fn\\ndef predict_fn(rows, model): return rows")
    ()
    >>> inference_problems("def model_fn(d): ...")
    ('does not define predict_fn',)
    """
    tree, fault = _parse(source)
    if tree is None:
        return (fault,)
    defined = _defined(tree)
    if "*" in defined:
        return ()
    return tuple(f"does not define {name}" for name in REQUIRED_IN_INFERENCE if name not in defined)


def _parse(source: str) -> tuple[ast.Module | None, str]:
    try:
        return ast.parse(source), ""
    except (SyntaxError, ValueError) as exc:
        line = getattr(exc, "lineno", None) or 1
        return None, f"line {line}: {getattr(exc, 'msg', None) or exc}"


def _defined(tree: ast.Module) -> set[str]:
    """Names at the top level, also inside `if` and `try`; `*` when something is star-imported."""
    names: set[str] = set()
    open_nodes: list[ast.stmt] = list(tree.body)
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.If | ast.Try):
            open_nodes += [*node.body, *node.orelse]
            if isinstance(node, ast.Try):
                open_nodes += [*node.finalbody, *(s for handler in node.handlers for s in handler.body)]
    return names
