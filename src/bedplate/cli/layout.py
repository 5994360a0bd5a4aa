"""How wide each column of a table is: no word is broken as long as there is room for whole ones."""

from __future__ import annotations

from collections.abc import Sequence

GAP = 2


def widths(columns: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Characters for each column (its heading among its cells) so that all fit into `room`, GAP between two; None when
    not even the longest words do.

    What there is beyond the longest word of each goes to the narrow columns first, so only wide ones are wrapped.

    >>> widths([["Of", "auc by origin"], ["Key", "gates.max"]], 40)
    [13, 9]
    >>> widths([["Of", "auc by origin"], ["Key", "gates.max"]], 19)
    [8, 9]
    >>> widths([["Of", "auc by origin"], ["Key", "gates.max"]], 16) is None
    True
    """
    from rich.cells import cell_len

    room -= GAP * (len(columns) - 1)
    natural = [max(cell_len(line) for cell in cells for line in cell.split("\n")) for cells in columns]
    least = [max(cell_len(word) for cell in cells for word in (cell.split() or [""])) for cells in columns]
    if sum(natural) <= room:
        return natural
    if sum(least) > room:
        return None
    given, left = least, room - sum(least)
    while left:
        wanting = [i for i, width in enumerate(given) if width < natural[i]]
        narrowest = min(wanting, key=lambda i: given[i])
        given[narrowest] += 1
        left -= 1
    return given
