"""Starts an entry point of the image: `python -m bedplate.container [train|serve|monitor|evaluate]`.

Without an argument it starts `monitor`, as SageMaker Model Monitor expects. Each verb imports only what it needs, so
that a serving process without a model starts in half a second.
"""

from __future__ import annotations

import importlib
import sys

from bedplate.process_exit import exit_process

VERBS = ("train", "serve", "monitor", "evaluate")


def main(arguments: list[str]) -> int:
    verb = arguments[0] if arguments else "monitor"
    if verb not in VERBS or len(arguments) > 1:
        print(f"usage: python -m bedplate.container {'|'.join(VERBS)} (found: {' '.join(arguments)})", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"bedplate.container.{verb}").main())


if __name__ == "__main__":
    exit_process(main(sys.argv[1:]))
