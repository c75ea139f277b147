"""Runs that end by themselves: one command line each, by both binaries."""
import concurrent.futures
import os
import re
import subprocess

NAME = "TrafficAlerted"
# The caller's environment must not change a message.
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


class Case:
    """One command line, run in `folder` by both binaries."""

    def __init__(self, what, arguments, folder):
        self.what, self.arguments, self.folder = what, arguments, folder

    def run(self, binary):
        """Exit code and both outputs, without what the clock decides."""
        try:
            done = subprocess.run(
                [NAME, *self.arguments], executable=binary, cwd=self.folder, env=ENVIRONMENT,
                stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
            )
            code, out, err = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as late:
            code, out, err = "none within 300 s", late.stdout or b"", late.stderr or b""
        return f"exit code {code}\n--- stdout\n{text_of(out)}\n--- stderr\n{without_time(text_of(err))}"


def text_of(data):
    """Any bytes as text; different bytes are different text."""
    return data.decode("utf-8", "surrogateescape")


def without_time(log):
    """A log without date and time, in either format."""
    log = re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", "TIME ", log, flags=re.M)
    return re.sub(r'("time":)"[^"]*"', r'\1"TIME"', log)


# Estimated with a seed of the process (src/flow/port_sketch.rs).
ESTIMATE = re.compile(
    r'(?<="ports_at_one_host":)(\d+)|(?<=contacted )(?:about (\d+) ports|(\d+) ports or more)(?= at one host)'
)


def estimates_apart(text):
    """The text without its estimates, and the estimates."""
    numbers = [int(next(filter(None, found.groups()))) for found in ESTIMATE.finditer(text)]
    return ESTIMATE.sub("ESTIMATE", text), numbers


def agree(old, new):
    """Whether two outcomes are equal, but for estimates that lie near each other."""
    (old, old_numbers), (new, new_numbers) = estimates_apart(old), estimates_apart(new)
    near = all(max(pair) <= 3 * min(pair) + 2 and (min(pair) > 0 or max(pair) == 0)
               for pair in zip(old_numbers, new_numbers))
    return old == new and near


# An estimate near a limit decides differently from run to run: then OLD gives what NEW gave in one of so many runs.
FURTHER_RUNS = 30
# With so many differences more of them are no chance, and need no further runs.
DIFFERENCES_BY_CHANCE_MAX = 10


def compare_cases(report, old, new, cases):
    """Runs all cases, as many at once as there are CPUs."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda case: (case, case.run(old), case.run(new)), cases)
        for case, before, after in outcomes:
            if agree(before, after):
                report.compare(case.what, "", "")
                continue
            further_runs = FURTHER_RUNS if report.different < DIFFERENCES_BY_CHANCE_MAX else 0
            if any(agree(case.run(old), after) for _ in range(further_runs)):
                report.by_chance += 1
                after = before
            report.compare(case.what, before, after)
