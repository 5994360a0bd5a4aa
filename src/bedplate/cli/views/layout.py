"""How wide each column of a table is: no word is broken as long as there is room for whole ones."""

from __future__ import annotations

from collections.abc import Sequence

GAP = 2


def fits(columns: Sequence[Sequence[str]], room: int) -> bool:
    """Whether the longest words of all columns have room beside each other.

    >>> columns = [["Of", "auc by origin"], ["Key", "gates.max"]]
    >>> fits(columns, 17), fits(columns, 16)
    (True, False)
    """
    return sum(_longest_words(columns)) + GAP * (len(columns) - 1) <= room


def widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Characters for each column (its heading among its cells) so that all fit into `room`, GAP between two.

    What there is beyond the longest word of each goes to the narrow columns first, so only wide ones are wrapped; where
    not even those words fit, the longest are broken, and no others.

    >>> widths([["Of", "auc by origin"], ["Key", "gates.max"]], 40)
    [13, 9]
    >>> widths([["Of", "auc by origin"], ["Key", "gates.max"]], 19)
    [8, 9]
    >>> widths([["Of", "auc by origin"], ["Key", "gates.max"]], 14)
    [6, 6]
    """
    from rich.cells import cell_len

    natural = [max(cell_len(line) for cell in cells for line in cell.split("\n")) for cells in columns]
    given = _longest_words(columns)
    left = room - GAP * (len(columns) - 1) - sum(given)
    for _ in range(-left):
        widest = max(range(len(given)), key=lambda i: given[i])
        given[widest] = max(1, given[widest] - 1)
    for _ in range(left):
        wanting = [i for i, width in enumerate(given) if width < natural[i]]
        if not wanting:
            break
        given[min(wanting, key=lambda i: given[i])] += 1
    return given


def _longest_words(columns: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    return [max(cell_len(word) for cell in cells for word in (cell.split() or [""])) for cells in columns]
