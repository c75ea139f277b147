"""A running TrafficAlerted, its log and its API."""
import collections
import contextlib
import json
import re
import socket
import subprocess

from .cases import ENVIRONMENT, NAME, text_of, without_time
from .hosts import TIMEOUT_S
from .http_requests import CHANGING, request


class Monitor:
    """A running TrafficAlerted."""

    def __init__(self, binary, config, port, folder):
        folder.mkdir()
        self.binary, self.config, self.port, self.folder = binary, config, port, folder
        self.shapes = collections.defaultdict(set)
        self.configure({})
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.setblocking(False)
        with open(folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [NAME, "lab.conf"], executable=binary, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=ENVIRONMENT | {"NOTIFY_SOCKET": str(folder / "notify")},
            )

    def configure(self, replaced, further=""):
        """Writes the configuration, with other lines in the place of some, and further ones."""
        text = f"{self.config}ListenAddress: 127.0.0.1:{self.port}\n{further}"
        for line, other in replaced.items():
            text = text.replace(line, other)
        (self.folder / "lab.conf").write_text(text.replace("FOLDER", str(self.folder)))

    def log(self):
        """Its log until now, without the times."""
        return self.without_place(without_time(text_of((self.folder / "log").read_bytes())))

    def without_place(self, text):
        """The text without the port and the folder, which are its own."""
        return text.replace(f":{self.port}", ":PORT").replace(str(self.folder), "FOLDER")

    def ask(self, text):
        """The answer to a request: all bytes of it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as stream:
            stream.sendall(text.encode("latin-1"))
            answer = b""
            # A refused request may be answered before all of it is read.
            with contextlib.suppress(ConnectionResetError):
                while part := stream.recv(65536):
                    answer += part
        return answer

    def json(self, path):
        return json.loads(self.ask(request(f"GET {path}")).partition(b"\r\n\r\n")[2])

    def sample_until(self, stop):
        """Notes the keys and types that the API shows meanwhile."""
        while not stop.wait(0.2):
            for path in CHANGING:
                with contextlib.suppress(OSError, ValueError):
                    self.shapes[path] |= set(shape(self.json(path)))
            for line in lines_of(self, "state.json"):
                self.shapes["state.json"] |= set(shape(json.loads(line)))

    def notifications(self):
        """Its messages to the service manager."""
        with contextlib.suppress(BlockingIOError):
            while message := self.manager.recv(4096):
                yield re.sub(r"USEC=\d+", "USEC=N", text_of(message))

    def interface(self, name):
        rows = [row for row in self.json("/api/v1/accounting")["interfaces"] if row["name"] == name and not row["gone"]]
        return rows[-1] if rows else None

    def stop(self, how):
        self.process.send_signal(how)
        try:
            return self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "none"


def shape(value, path=""):
    """Each place in a JSON value with the type of what is there; of an object, its keys in their order."""
    if isinstance(value, dict):
        # The reasons for which frames were skipped are values rather than keys.
        has_reasons = path.endswith("skipped")
        for key, inner in value.items():
            yield from shape(inner, f"{path}.*" if has_reasons else f"{path}.{key}")
        yield path, "object" if has_reasons else f"object of {', '.join(value)}"
    elif isinstance(value, list):
        for inner in value:
            yield from shape(inner, f"{path}[]")
        yield path, "array"
    else:
        # Numbers with and without a point are one type of JSON.
        yield path, "null" if value is None else "number" if type(value) in (int, float) else type(value).__name__


def shape_text(shapes):
    """`null` is a type where nothing else is."""
    valued = {place for place, kind in shapes if kind != "null"}
    return "".join(f"{place}: {kind}\n" for place, kind in sorted(shapes) if kind != "null" or place not in valued)


def lines_of(monitor, name):
    path = monitor.folder / name
    return text_of(path.read_bytes()).splitlines() if path.exists() else []


def alerts_in_file(monitor):
    for line in lines_of(monitor, "alerts.jsonl"):
        with contextlib.suppress(ValueError):
            alert = json.loads(line)
            yield alert["state"], alert["kind"], str(alert["source"])


def log_parts(log):
    """The alerts of a log by their form, its errors in their order, and each of its other lines once."""
    alerts, errors, others = set(), [], set()
    for line in log.splitlines(keepends=True):
        record = json.loads(line) if line.startswith("{") else {}
        found = re.match(r"TIME ([A-Z]+)=([A-Z_]+) (?:SRC|DST)=", line)
        if "kind" in record:
            alerts.add(f"{record['state']} {record['kind']} {record['source']} {record['limit']}\n")
        elif found:
            # How many steps of growth a scanner takes depends on how its packets fall into ticks.
            if found[1] != "GROWN" or found[2] == "TRAFFIC":
                alerts.add(alert_form(line))
        elif line.startswith("TIME error: ") or record.get("level") == "error":
            errors.append(line)
        else:
            others.add(re.sub(r"\d+ frames skipped", "N frames skipped", line))
    return ["".join(part) for part in (sorted(alerts), errors, sorted(others))]


def alert_form(line):
    """The line of an alert without what was measured."""
    line = re.sub(r"\b(TOTALBYTES|PEAK|SECONDS|TIMES|RATE)=\d+", r"\1=N", line)
    return re.sub(r"\[.*\]", "[...]", line)
