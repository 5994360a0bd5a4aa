"""Checks that a model's training and inference scripts define what SageMaker calls, without running them."""

from __future__ import annotations

import ast

REQUIRED_IN_INFERENCE = ("model_fn", "predict_fn")
_MODEL_DIR_NAMES = ("SM_MODEL_DIR", "model_dir", "model-dir", "/opt/ml/model")


def check_training_script(source: str) -> tuple[str, ...]:
    """Returns the problems of a training script: it must be valid Python and must mention its model directory.

    >>> check_training_script("import os\\nprint(os.environ['SM_MODEL_DIR'])")
    ()
    >>> check_training_script("def f(:")
    ('line 1: invalid syntax',)
    >>> check_training_script("print(1)")
    ('never mentions SM_MODEL_DIR, the folder that the model must be written to',)
    """
    tree, error = _parse(source)
    if tree is None:
        return (error,)
    if not any(name in source for name in _MODEL_DIR_NAMES):
        return ("never mentions SM_MODEL_DIR, the folder that the model must be written to",)
    return ()


def check_inference_script(source: str) -> tuple[str, ...]:
    """Returns the problems of an inference script: it must be valid Python and define or import what serving calls.

    >>> check_inference_script("from other import model_fn\\ndef predict_fn(rows, model): return rows")
    ()
    >>> check_inference_script("def model_fn(d): ...")
    ('does not define predict_fn',)
    """
    tree, error = _parse(source)
    if tree is None:
        return (error,)
    names = _top_level_names(tree)
    if "*" in names:
        return ()
    return tuple(f"does not define {name}" for name in REQUIRED_IN_INFERENCE if name not in names)


def _parse(source: str) -> tuple[ast.Module | None, str]:
    try:
        return ast.parse(source), ""
    except (SyntaxError, ValueError) as exc:
        line_number = getattr(exc, "lineno", None) or 1
        return None, f"line {line_number}: {getattr(exc, 'msg', None) or exc}"


def _top_level_names(tree: ast.Module) -> set[str]:
    """Returns the names defined at top level, also inside `if` and `try`; contains `*` for a star import."""
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
                open_nodes += [*node.finalbody, *(statement for handler in node.handlers for statement in handler.body)]
    return names
