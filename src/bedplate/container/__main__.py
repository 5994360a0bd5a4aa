"""Starts one entry point of the image: `python -m bedplate.container [train|serve|monitor|evaluate]`, else monitor.

Each verb imports only what it needs: a serving process starts in half a second where nothing has to be loaded.
"""

from __future__ import annotations

import importlib
import sys

from bedplate.process_exit import end

VERBS = ("train", "serve", "monitor", "evaluate")


def main(arguments: list[str]) -> int:
    verb = arguments[0] if arguments else "monitor"
    if verb not in VERBS or len(arguments) > 1:
        print(f"usage: python -m bedplate.container {'|'.join(VERBS)} (found: {' '.join(arguments)})", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"bedplate.container.{verb}").main())


if __name__ == "__main__":
    end(main(sys.argv[1:]))
