"""What differs: counted, and printed in short."""
import difflib
import itertools
import re
import sys


class CannotCompare(Exception):
    """The reason why two binaries cannot be compared."""


class Report:
    """Counts what was compared and prints what differs."""

    DIFFERENCES_SHOWN_MAX = 60
    LINES_SHOWN_MAX = 14
    COLUMNS_SHOWN_MAX = 200

    def __init__(self):
        self.compared = self.different = self.by_chance = self.left_out = 0

    def compare(self, what, old, new):
        self.compared += 1
        if old != new:
            self.different += 1
            if self.different <= self.DIFFERENCES_SHOWN_MAX:
                print(f"DIFFERENT: {what}")
                for line in self.lines(old, new):
                    print("    " + printable(line)[: self.COLUMNS_SHOWN_MAX])
                sys.stdout.flush()

    def lines(self, old, new):
        """A short unified diff; JSON is broken into lines at its commas."""
        old, new = (re.sub(r'(?<=[,{\[])(?=["{\[])', "\n", text).splitlines(keepends=True) for text in (old, new))
        same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new))))
        # difflib takes quadratic time, and only the beginning is shown.
        old, new = (text[max(same - 2, 0) : same + 400] for text in (old, new))
        diff = list(difflib.unified_diff(old, new, "OLD", "NEW", n=2))
        yield from (line if line.endswith("\n") else line + "\\" for line in diff[: self.LINES_SHOWN_MAX])
        if len(diff) > self.LINES_SHOWN_MAX:
            yield f"... and {len(diff) - self.LINES_SHOWN_MAX} lines more"

    def leave_out(self, why):
        self.left_out += 1
        print(f"NOT COMPARED: {why}", flush=True)

    def heading(self, text):
        print(f"== {text}", flush=True)

    def finish(self, what):
        print(f"{what}: {self.compared} compared, {self.different} different", end="")
        print(f", {self.by_chance} differ by the random seed of each process" if self.by_chance else "", flush=True)


def printable(line):
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line.rstrip("\n"))
