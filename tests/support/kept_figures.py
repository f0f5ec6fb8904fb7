# SPDX-License-Identifier: BSL-1.0
"""Figures that must not grow: what a test counts now beside what is kept in a JSON file, by compiler."""

import json
import pathlib
import sys

GROWTH = 1.05
SKIPPED = 77


class KeptFigures:
    """`file` has, for each compiler, an object of figures by name."""

    def __init__(self, file: pathlib.Path, compiler: str, update: bool):
        self.file, self.compiler, self.update = file, compiler, update
        self.kept = json.loads(file.read_text()) if file.exists() else {}
        self.before = self.kept.get(compiler, {})
        if not self.before and not update:
            print(f"skipped: {file.name} has no figures for {compiler}; --update writes them")
            sys.exit(SKIPPED)

    def compare(self, now: dict, unit: str) -> int:
        """Tells how each figure has changed, or writes them down. Gives the exit status: 1 when one has grown by more
        than 5 %."""
        grown = []
        for name, figure in now.items():
            old = self.before.get(name)
            note = "" if old is None else f", {figure / old - 1:+.1%} against {old:.0f}"
            if old is not None and figure > old * GROWTH:
                grown.append(name)
            print(f"{name}: {figure:.0f} {unit}".rstrip() + note)
        if self.update:
            self.kept[self.compiler] = {name: round(figure, 1) for name, figure in now.items()}
            self.file.write_text(json.dumps(self.kept, indent=2, sort_keys=True) + "\n")
            return 0
        missing = sorted(set(self.before) ^ set(now))
        if missing:
            print(f"not both counted and in {self.file.name}: {', '.join(missing)}; --update writes them down")
        if grown:
            print(f"grown by more than 5 %: {', '.join(grown)}. If that is meant, --update writes it down.")
        return 1 if grown or missing else 0
