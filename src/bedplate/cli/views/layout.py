"""Computes the widths of a table's columns, so that words are broken only when they cannot fit."""

from __future__ import annotations

from collections.abc import Sequence

GAP = 2


def fits(columns: Sequence[Sequence[str]], width: int) -> bool:
    """Returns whether the longest words of all columns fit beside each other into `width` characters.

    >>> columns = [["Of", "auc by origin"], ["Key", "gates.max"]]
    >>> fits(columns, 17), fits(columns, 16)
    (True, False)
    """
    return sum(_longest_words(columns)) + GAP * (len(columns) - 1) <= width


def column_widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Returns the width of each column in characters; with GAP between two columns they fit into `width`.

    Each column's cells include its heading. Space beyond the longest words goes to the narrow columns first, so that
    only wide columns wrap. Where the longest words do not fit, only the longest of them are broken.

    >>> column_widths([["Of", "auc by origin"], ["Key", "gates.max"]], 40)
    [13, 9]
    >>> column_widths([["Of", "auc by origin"], ["Key", "gates.max"]], 19)
    [8, 9]
    >>> column_widths([["Of", "auc by origin"], ["Key", "gates.max"]], 14)
    [6, 6]
    """
    from rich.cells import cell_len

    natural = [max(cell_len(line) for cell in cells for line in cell.split("\n")) for cells in columns]
    widths = _longest_words(columns)
    spare = width - GAP * (len(columns) - 1) - sum(widths)
    for _ in range(-spare):
        widest = max(range(len(widths)), key=lambda i: widths[i])
        widths[widest] = max(1, widths[widest] - 1)
    for _ in range(spare):
        wrapped = [i for i, current in enumerate(widths) if current < natural[i]]
        if not wrapped:
            break
        widths[min(wrapped, key=lambda i: widths[i])] += 1
    return widths


def _longest_words(columns: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    return [max(cell_len(word) for cell in cells for word in (cell.split() or [""])) for cells in columns]
