"""`test-alert` with each kind of sink, and what arrives there."""
import contextlib
import http.server
import re
import socket
import threading

from .cases import NAME, Case, text_of


class WebhookReader(http.server.BaseHTTPRequestHandler):
    """An HTTP server that accepts every alert and records the requests."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.taken.append(f"{self.requestline}\n{self.headers}{text_of(body)}")
        # A path that begins with a number is answered by it.
        self.send_response(int(self.path[1:4]) if self.path[1:4].isdigit() else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


def without_sample_values(text):
    text = re.sub(r"delivered in \d+ ms", "delivered in N ms", text)
    text = re.sub(r"test-\d+", "test-N", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "TIME", text)
    text = re.sub(r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\b", "TIME", text)
    # The process id, in both forms of syslog.
    text = re.sub(rf"({NAME})(\[\d+\]| \d+ )", r"\1 PID ", text)
    # The length of a webhook's body and of a syslog message follows from these values.
    return re.sub(r"(content-length: )\d+", r"\1N", text, flags=re.I)


def compare_sinks(report, old, new, folder):
    """`test-alert` with each kind of sink, and what arrives there."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WebhookReader)
    server.taken = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook = f"http://127.0.0.1:{server.server_port}"
    syslog = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    syslog.bind(("127.0.0.1", 0))
    local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    local.bind(str(folder / "log.socket"))
    command = folder / "command"
    command.write_text(f"#!/bin/sh\n{{ env | grep ^TA_ | sort; cat; }} >>{folder}/arrived\necho said >&2\n")
    command.chmod(0o755)
    sinks = {f"webhook for {reader}": f"WebhookURL: {hook}/a\nWebhookFormat: {reader}\n"
             for reader in "json slack discord mattermost ntfy alertmanager".split()}
    sinks |= {
        "the log alone": "",
        "a log of JSON": "LogFormat: json\n",
        "a refusing webhook": f"WebhookURL: {hook}/404\n",
        "a webhook with a token": f"WebhookURL: {hook}/a\nWebhookToken: a-token\n",
        "a webhook without a listener": "WebhookURL: http://127.0.0.1:1/\n",
        "a file": f"AlertFile: {folder}/arrived\n",
        "a file that cannot be": f"AlertFile: {folder}/none/arrived\n",
        "a command": f'AlertCommand: {command} "an argument"\n',
        "a command that fails": "AlertCommand: /bin/false\n",
        "syslog over UDP": f"Syslog: udp://127.0.0.1:{syslog.getsockname()[1]}\nSyslogFacility: local3\n",
        "the local syslog": f"Syslog: unix:{folder}/log.socket\n",
        "a syslog that is not there": f"Syslog: unix:{folder}/none\n",
        "no destinations": f"AlertFile: {folder}/arrived\nNoDestinations: true\n",
    }

    def outcome(binary, case):
        server.taken.clear()
        (folder / "arrived").unlink(missing_ok=True)
        output = case.run(binary)
        for listener in (syslog, local):
            listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while data := listener.recv(65536):
                    server.taken.append(text_of(data))
        if (folder / "arrived").exists():
            server.taken.append(text_of((folder / "arrived").read_bytes()))
        return without_sample_values("\n--- arrived\n".join([output, *server.taken]))

    for number, (name, config) in enumerate(sinks.items()):
        (folder / f"sink{number}.conf").write_text(config)
        case = Case("", ["test-alert", f"sink{number}.conf"], folder)
        report.compare(f"test-alert: {name}", outcome(old, case), outcome(new, case))
    server.shutdown()
