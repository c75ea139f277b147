"""Both binaries at the same time on the same interfaces."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from .captures import udp
from .cases import Case
from .hosts import TIMEOUT_S, Host, run, set_sysctl, disable_ipv6, wait_until_up
from .monitor import Monitor, alerts_in_file, lines_of, log_parts, shape, shape_text
from .report import CannotCompare
from .http_requests import CHANGING, REQUESTS, answer_text, request

INSIDE = "TRAFFIC_ALERTED_COMPARE_INSIDE"

# Alerts close after a few seconds of silence. Every limit is either far exceeded or far away in each scenario.
LAB_CONFIG = """TrafficInterval: 5
ByteLimit: 300K
ChartMinBytes: 1
NumberContactedIPs: 15
AnalyzePorts: true
NumContactedPorts: 30
PortInterval: 5
AlertCooldown: 0
RingMemory: 16M
MemoryLimit: 64M
AlertFile: FOLDER/alerts.jsonl
StateFile: FOLDER/state.json
LocalNetworks: 10.1.0.0/16
ExcludedInterfaces: lo, secret
Workers: 1
"""
VARIANTS = {
    "text": LAB_CONFIG + "LimitFor: 10.1.0.11/32 PacketRateLimit 500\nLimitFor: 10.1.0.13/32 ContactRateLimit 50\n",
    "JSON": LAB_CONFIG + "LogFormat: json\nScanEvidence: suspicious\nReceivedByteLimit: 300K\nDirection: in+own\n",
}


class Lab:
    """Two binaries in several variants of configuration."""

    def __init__(self, report, old, new, folder):
        self.report, self.folder = report, folder
        self.client, self.server = Host(), Host()
        disable_ipv6()
        set_sysctl("ipv4/ip_forward", "1")
        run("ip link set lo up")
        self.client.plug("c0", "lan")
        self.server.plug("s0", "wan")
        run("ip addr add 10.1.0.1/24 dev lan")
        run("ip addr add 10.2.0.1/24 dev wan")
        # Every address of 10.3.0.0/16 is the server's, and no host answers in 10.4.0.0/16.
        for net in ("10.3.0.0/16", "10.4.0.0/16"):
            run(f"ip route add {net} via 10.2.0.2")
        with self.client.inside():
            for last in range(2, 30):
                run(f"ip addr add 10.1.0.{last}/24 dev c0")
            run("ip route add default via 10.1.0.1")
        with self.server.inside():
            run("ip addr add 10.2.0.2/24 dev s0")
            run("ip route add default via 10.2.0.1")
            run("ip route add local 10.3.0.0/16 dev lo")
            run("ip route add blackhole 10.4.0.0/16")
        self.pairs = {}
        for number, (name, config) in enumerate(VARIANTS.items()):
            self.pairs[name] = [
                Monitor(binary, config, 8700 + 2 * number + which, folder / f"{name}-{which}")
                for which, binary in enumerate((old, new))
            ]

    def monitors(self):
        return [monitor for pair in self.pairs.values() for monitor in pair]

    def compare(self, what, text_of_monitor):
        for name, (old, new) in self.pairs.items():
            self.report.compare(f"lab, {name} variant: {what}", text_of_monitor(old), text_of_monitor(new))

    def wait(self, what, holds):
        """Waits until a condition holds for all. If it holds for one binary only, that is a difference; if for none, nothing is
        compared."""
        came = {}
        deadline = time.monotonic() + TIMEOUT_S
        while len(came) < len(self.monitors()) and time.monotonic() < deadline:
            for monitor in self.monitors():
                if monitor not in came and holds(monitor):
                    came[monitor] = "in time"
                if monitor.process.poll() is not None:
                    deadline = 0
            time.sleep(0.05)
        if not came:
            raise CannotCompare(f"neither came to this: {what}. The log of OLD:\n{self.monitors()[0].log()}")
        self.compare(f"whether it comes to this: {what}", lambda monitor: came.get(monitor, "not in time"))

    def wait_for_alert(self, kind, source):
        self.wait(f"{kind} of {source}", lambda monitor: any(
            alert[1:] == (kind, source) for alert in alerts_in_file(monitor)))

    def wait_until_counted(self):
        """Waits until both of a pair have counted the same and count no more, and compares that."""

        def sums():
            keys = ("counted_frames", "ip_packets", "ip_bytes", "super_frames", "malformed_ip_packets")
            accounts = [monitor.json("/api/v1/accounting") for monitor in self.monitors()]
            return [{key: account[key] for key in keys} for account in accounts]

        before, deadline = None, time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            now = sums()
            if now == before and now[0::2] == now[1::2]:
                break
            before = now
            # Longer than a report takes.
            time.sleep(1.2)
        now = dict(zip(self.monitors(), now))
        self.compare("what has been counted", lambda monitor: str(now[monitor]))

    # Scenarios. Each has a source of its own, so that its alerts can be distinguished.

    def volumes(self):
        """Six megabytes in three seconds, by UDP and by TCP: twenty times the limit, through every step of growth."""
        with self.client.inside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.bind(("10.1.0.11", 0))
        send_slowly(lambda: sender.sendto(bytes(1000), ("10.3.0.1", 9)), 6000, 2000)
        self.wait_for_alert("TRAFFIC", "10.1.0.11")
        with self.server.inside():
            listener = socket.create_server(("10.2.0.2", 80))
        with self.client.inside():
            sender = socket.create_connection(("10.2.0.2", 80), source_address=("10.1.0.12", 0))
        receiver, _ = listener.accept()
        threading.Thread(target=drain, args=[receiver], daemon=True).start()
        send_slowly(lambda: sender.sendall(bytes(20_000)), 300, 100)
        sender.close()
        self.wait_for_alert("TRAFFIC", "10.1.0.12")

    def scans(self):
        mac = json.loads(run("ip -json link show lan"))[0]["address"]
        nmap = "nmap -n -Pn -sS --max-retries 0 --min-rate 300 -e c0"
        hping = "hping3 -n -q -i u2000 -c 200"
        for kind, source, command in (
            ("SCANNING", "10.1.0.13", f"{nmap} -S 10.1.0.13 -p 22 10.3.1.0/24"),
            ("SCANNING_PORT", "10.1.0.14", f"{nmap} -S 10.1.0.14 -p 1-500 10.3.0.2"),
            ("SCANNING", "10.1.0.15", "masscan 10.4.1.0/24 -p23 --rate 300 --wait 0 --adapter c0 "
             f"--adapter-ip 10.1.0.15 --router-mac {mac}"),
            ("SCANNING_PORT", "10.1.0.16", f"{hping} -S -a 10.1.0.16 -p ++1 10.3.0.3"),
        ):
            tool = command.split()[0]
            if not shutil.which(tool):
                self.report.leave_out(f"{kind} by {tool}, which is not installed")
                continue
            with self.client.inside():
                scanner = subprocess.Popen(command.split(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
            self.wait_for_alert(kind, source)
            try:
                # masscan waits much longer for answers.
                scanner.wait(5)
            except subprocess.TimeoutExpired:
                scanner.kill()
                scanner.wait()

    def interfaces(self):
        """An interface comes, falls, rises and goes; one comes on top of another; an excluded one comes."""
        far = Host()
        far.plug("f0", "late")
        self.wait("late is monitored", lambda monitor: (monitor.interface("late") or {}).get("monitored"))
        mac = bytes.fromhex(json.loads(run("ip -json link show late"))[0]["address"].replace(":", ""))
        with far.inside():
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            wire.bind(("f0", 0))
        frame = mac + bytes([2, 0, 0, 0, 0, 7, 8, 0]) + udp("10.1.0.99", "10.3.0.9", (5, 6), 500)
        for state in ("down", "up"):
            run(f"ip link set late {state}")
        wait_until_up("f0", far)
        send_slowly(lambda: wire.send(frame), 1000, 2000)
        self.wait_for_alert("TRAFFIC", "10.1.0.99")
        run("ip link add link wan name above type macvlan mode bridge")
        run("ip link set above up")
        self.wait("above is not monitored", lambda monitor: (monitor.interface("above") or {}).get("reason"))
        far.plug("f1", "secret")
        self.wait("secret is not monitored", lambda monitor: (monitor.interface("secret") or {}).get("reason"))
        self.wait_until_counted()
        for name in ("late", "above", "secret"):
            run(f"ip link del {name}")
            self.wait(f"{name} is gone", lambda monitor: monitor.interface(name) is None)

    def reload(self, what, replaced, further=""):
        lines = {monitor: monitor.log().count("lab.conf is ") for monitor in self.monitors()}
        for monitor in self.monitors():
            monitor.configure(replaced, further)
            monitor.process.send_signal(signal.SIGHUP)
        self.wait(f"an answer to {what}", lambda monitor: monitor.log().count("lab.conf is ") > lines[monitor])

    def reloads(self):
        self.reload("a configuration that is wrong", {"ByteLimit: 300K": "ByteLimit: 5T"}, "BiteLimit: 5\nWorkers: 2\n")
        changed = {"ByteLimit: 300K": "ByteLimit: 20K"}
        taking_a_restart = {"Workers: 1": "Workers: 2", "TrafficInterval: 5": "TrafficInterval: 6"}
        self.reload("a good configuration", changed | taking_a_restart, "IgnoredSources: 10.1.0.18\n")
        ask = request("GET /capabilities")
        self.compare("/capabilities after a reload", lambda monitor: answer_text(ask, monitor.ask(ask)))
        with self.client.inside():
            senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for sender, source in zip(senders, ("10.1.0.18", "10.1.0.17")):
            sender.bind((source, 0))
            send_slowly(lambda: sender.sendto(bytes(1000), ("10.3.0.4", 9)), 60, 500)
        self.wait_for_alert("TRAFFIC", "10.1.0.17")

    def requests(self):
        for text in REQUESTS:
            self.compare(f"the answer to {text[:300]!r}", lambda monitor: answer_text(text, monitor.ask(text)))

    def run(self):
        self.wait("it listens", lambda monitor: "listening on http://" in monitor.log())
        sampling, stop = [], threading.Event()
        for monitor in self.monitors():
            sampling.append(threading.Thread(target=monitor.sample_until, args=[stop]))
            sampling[-1].start()
        try:
            self.report.heading("Lab: requests")
            self.requests()
            self.compare("a second one at the same address", lambda monitor: monitor.without_place(
                Case("", ["lab.conf"], monitor.folder).run(monitor.binary)))
            self.report.heading("Lab: traffic")
            self.volumes()
            self.scans()
            self.report.heading("Lab: interfaces, reloads")
            self.interfaces()
            self.wait_until_quiet()
            self.reloads()
            self.wait_until_quiet()
            self.wait_until_counted()
        finally:
            stop.set()
            for thread in sampling:
                thread.join()
        self.report.heading("Lab: the end")
        self.end()

    def wait_until_quiet(self):
        self.wait("no alert is open", lambda monitor: monitor.json("/api/v1/alerts") == [])

    def end(self):
        codes = {monitor: monitor.stop(how) for pair, how in zip(self.pairs.values(), (signal.SIGTERM, signal.SIGINT))
                 for monitor in pair}
        self.compare("exit code", lambda monitor: f"exit code {codes[monitor]}")
        for path in [*CHANGING, "state.json"]:
            self.compare(f"keys and types of {path}", lambda monitor: shape_text(monitor.shapes[path]))
        for number, part in enumerate(("alerts in the log", "errors in the log", "other lines of the log")):
            self.compare(part, lambda monitor: log_parts(monitor.log())[number])
        self.compare("alerts in the file", lambda monitor: "".join(
            sorted({" ".join(alert) + "\n" for alert in alerts_in_file(monitor)})))
        self.compare("keys and types in the file of alerts", lambda monitor: shape_text(
            {place for line in lines_of(monitor, "alerts.jsonl") for place in shape(json.loads(line))}))
        self.compare("messages to the service manager", lambda monitor: "".join(monitor.notifications()))


def send_slowly(send, count, per_second):
    began = time.monotonic()
    for n in range(count):
        send()
        time.sleep(max(0, began + n / per_second - time.monotonic()))


def drain(stream):
    while stream.recv(65536):
        pass


def compare_in_lab(report, old, new, scratch):
    folder = scratch / "lab"
    folder.mkdir()
    lab = Lab(report, old, new, folder)
    try:
        lab.run()
    finally:
        for monitor in lab.monitors():
            if monitor.process.poll() is None:
                monitor.process.kill()
                monitor.process.wait()
    report.finish("In the lab")


def enter_lab(report, arguments):
    """Runs this script once more, in namespaces of its own, for the lab alone; gives its exit code."""
    for tool in ("unshare", "ip", "nmap"):
        if not shutil.which(tool):
            raise CannotCompare(f"the lab needs {tool}, which is not installed")
    isolation = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    refusals = []
    for further in ([], ["--user", "--map-root-user"])[:: 1 if os.geteuid() == 0 else -1]:
        tried = subprocess.run([*isolation, *further, "true"], capture_output=True, text=True)
        if tried.returncode == 0:
            report.heading("Lab")
            command = [*isolation, *further, sys.executable, sys.argv[0], *arguments]
            return subprocess.run(command, env=os.environ | {INSIDE: "yes"}).returncode
        refusals.append(tried.stderr.strip())
    raise CannotCompare(f"this machine refuses the namespaces of the lab ({'; '.join(refusals)}). "
                        "As root it works; else see sysctl user.max_user_namespaces")
