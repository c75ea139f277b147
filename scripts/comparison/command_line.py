"""The command line, and configurations that are right and wrong."""
import contextlib
import os
import re
import subprocess
import tempfile

from .captures import PROJECT
from .cases import ENVIRONMENT, NAME, Case, text_of
from .replay import REPLAY_CONFIGS
from .report import CannotCompare

# Each of them is given to each key; most are right for some.
VALUES = """0|1|2|007|-1|+5|1.5|0.5|1e3|255|256|257|65535|65536|1000000001|18446744073709551615|18446744073709551616
99999999999999999999999G|1K|1G|1.5g|5T|1GB|1 G|1.0005K|31999999|32M|4.1G|1000001T|0.1%|100%|101%|0.00001%|%|1 %
true|True|false|yes|on|off|OFF|auto|Auto|none|in|in+own|both|out|contacts|suspicious|io_uring|epoll|poll|text|json|JSON
slack|discord|mattermost|ntfy|alertmanager|xml|daemon|local0|local8|kern
lo|lo,|,lo|lo,,rx0|"lo|"lo"x|"lo","dummy0"|lo;wan0|a-name-that-is-too-long|a/b|..|""|"|0,1|0,0|0-1|999
10.0.0.5|10.0.0.0/24|10.0.0.1/24|10.0.0.0/33|0.0.0.0/0|fd00::/32|::/0|fd00::1|::ffff:10.0.0.1
10.0.0.0/24,10.0.0.0/24|10.0.0.0/24, fd00::/8, 10.0.0.9|10.0.5.0/24|10.0.5.0/24 ByteLimit|10.0.5.0/24 Bytelimit 5
10.0.5.0/24 ByteLimit 20G|10.0.5.0/24 ByteLimit 20G, PacketRateLimit off|10.0.5.0/24 ByteLimit 5T|ByteLimit 5
10.0.5.0/24 ByteLimit 5, ByteLimit 6|10.0.5.0/24 NumContactedPorts 5|10.0.5.1/24 ByteLimit 5
127.0.0.1:8698|127.0.0.1|127.0.0.1:0|127.0.0.1:99999|0.0.0.0:8698|[::1]:8698|[::1]|::1:80|localhost:8698
/dev/null|relative/path|/a path/b|/bin/true|/bin/true "an argument" 'x'|/bin/true "open|/no/such/program
http://a.example/|https://a.example/path|ftp://a.example/|http://|https://user:secret@a.example/
udp://127.0.0.1:514|tcp://a.example:514|udp://127.0.0.1|unix:/dev/log|unix:relative|syslog://x
a token|Bearer x|é|x # a comment|#"""
VALUES = [*re.split(r"[|\n]", VALUES), "\u2028", "\x1b[31m"]

CONFIGS = {
    "empty": b"",
    "without a colon": b"ByteLimit 1G\n",
    "with an equals sign": b"ByteLimit=1G\nNoDestinations = true\n",
    "not UTF-8": b"Byte\x1b[31mLimit: 1\nByteLimit: \xff\nWorkers: 1\xc3\n",
    "a byte order mark": b"\xef\xbb\xbfByteLimit: 1G\n",
    "UTF-16": "ByteLimit: 1G\n".encode("utf-16"),
    "Windows line ends": b"ByteLimit: 1G\r\nNoDestinations: true\r\n",
    "no line end at the end": b"ByteLimit: 1G",
    "a NUL": b"ByteLimit: 1\0G\n",
    "two things wrong in a line": b"BiteLimit: 5T\nByteLimit: 5T 6\n",
    "sixty problems": b"".join(b"Key%d: x\n" % n for n in range(60)),
    "long name and long line": b"ByteLimit" * 9 + b": 1\nByteLimit: " + b"9" * 900 + b"\nAlertCommand: /" + b"x" * 5000,
    "larger than any configuration": b"#" * 70_000,
    "as large as a configuration may be": b"#" * 65_536,
    "pins for other workers": b"Workers: 1\nPinCores: 0,1\n",
    "ring memory for many workers": b"Workers: 256\nRingMemory: 1M\n",
    "promiscuous and excluded": b"ExcludedInterfaces: lo, rx0\nPromiscuous: rx0, rx1\n",
    "groups and a part of a group": b"GroupIPv6: 48\nIgnoredSources: fd00::/64\nLimitFor: fd00::1 ByteLimit 5\n",
    "limits for ports that are not judged": b"LimitFor: 10.0.0.0/8 NumContactedPorts 5\n",
    "a network twice": b"LimitFor: 10.0.0.0/8 ByteLimit 5\nLimitFor: 10.0.0.0/8 PacketRateLimit 5\n",
    "two tokens": b"WebhookURL: https://a.example/\nWebhookToken: x\nWebhookTokenFile: /x\n",
    "a token and no address": b"WebhookToken: x\n",
    "a token for plain HTTP": b"WebhookURL: http://a.example/\nWebhookToken: x\n",
    "options of sinks that are off": b"AlertFileKeep: 3\nAlertCommandTimeout: 3\nWebhookFormat: ntfy\n",
    "destinations that are hidden": b"NoDestinations: true\nContactedIPsAnalyze: true\nNumberContactedIPs: 5\n",
}
USAGE = """--help|-h|help|help check|help replay|help test-alert|help nothing|--version|-V
check --help|replay --help|test-alert --help|--help check|check|replay|test-alert|replay --json -|--jsno empty.conf|-x
check empty.conf empty.conf|empty.conf empty.conf|chekc empty.conf|check --config empty.conf|replay -- -x
check none.conf|none.conf|test-alert none.conf|replay --config none.conf none.pcap|replay none.pcap|replay empty.conf
check .|replay .|check /dev/null|check /proc/self/mem|replay --json /none/out none.pcap
replay --config empty.conf --config empty.conf --config empty.conf none.pcap"""
USAGE = ["", *re.split(r"[|\n]", USAGE)]


def misspelt(key):
    """Misspellings of `key`."""
    middle = len(key) // 2
    yield from {key.lower(), key.upper(), key[:-1], key[1:], key + "s", key + key[-1], key[:middle] + key[middle + 1 :],
                key[: middle - 1] + key[middle] + key[middle - 1] + key[middle + 1 :], key[:middle], "The" + key}


def keys_of(old):
    """The keys of OLD: `check` prints all of them."""
    printed = subprocess.run([old, "check", "/dev/null"], capture_output=True, env=ENVIRONMENT, text=True).stdout
    keys = re.findall(r"^(\w+):", printed, flags=re.M)
    if len(keys) < 10:
        raise CannotCompare(f"{old} check /dev/null does not print its keys")
    return keys


def command_line_cases(folder, keys):
    def written(name, data):
        (folder / name).write_bytes(data)
        return name

    (folder / "empty.conf").write_bytes(b"")
    for words in USAGE:
        yield Case(f"usage: {words!r}", words.split(), folder)
    configs = dict(CONFIGS)
    configs |= {f"seed {seed.name}": seed.read_bytes() for seed in sorted((PROJECT / "fuzz/corpus/config").iterdir())}
    configs["the example"] = (PROJECT / "TrafficAlerted.conf").read_bytes()
    configs |= {f"replay: {name}": text.encode() for name, text in REPLAY_CONFIGS.items()}
    for number, (name, data) in enumerate(configs.items()):
        yield Case(f"check: {name}", ["check", written(f"c{number}.conf", data)], folder)
        # A run ends only where the configuration is wrong: the value at its end is.
        wrong = written(f"w{number}.conf", data + b"\nWorkers: none at all\n")
        for line in ("{}", "test-alert {}", "replay --config {} none.pcap"):
            yield Case(f"{line.format('a wrong configuration')}: {name}", line.format(wrong).split(), folder)
    as_json = written("json.conf", b"LogFormat: json\n")
    yield Case("a failure in a log of JSON", ["replay", "--config", as_json, "none.pcap"], folder)
    for key in keys:
        for name in sorted(misspelt(key)):
            config = written(f"m-{name}.conf", f"{name}: 1\n".encode())
            yield Case(f"check: {name!r} for {key}", ["check", config], folder)
        lines = (f"{key}: 1\n{key}: 2\n", f"{key}:\n", f" {key} :1\n", f'"{key}": 1\n', f"{key}\n")
        for number, text in enumerate(lines):
            yield Case(f"check: {text!r}", ["check", written(f"l-{key}-{number}.conf", text.encode())], folder)
        for number, value in enumerate(VALUES):
            name = written(f"v-{key}-{number}.conf", f"{key}: {value}\n".encode())
            yield Case(f"check: {key}: {value!r}", ["check", name], folder)


def compare_on_a_terminal(report, old, new, folder):
    """What a terminal shows, which has colours, and what the journal gets, which has levels."""
    (folder / "wrong.conf").write_bytes(b"ByteLimt: 5T\nWorkers: 0\n")

    def on_terminal(binary):
        ours, theirs = os.openpty()
        done = subprocess.Popen([NAME, "check", "wrong.conf"], executable=binary, cwd=folder, stdin=subprocess.DEVNULL,
                                stdout=theirs, stderr=theirs, env=ENVIRONMENT | {"TERM": "xterm"})
        os.close(theirs)
        shown = b""
        # The other end is closed when the program ends, which reads as an error.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
        return f"exit code {done.wait()}\n{text_of(shown)}"

    def in_journal(binary):
        with tempfile.TemporaryFile() as journal:
            stream = os.fstat(journal.fileno())
            environment = ENVIRONMENT | {"JOURNAL_STREAM": f"{stream.st_dev}:{stream.st_ino}"}
            done = subprocess.run([NAME, "check", "wrong.conf"], executable=binary, cwd=folder, env=environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=journal)
            journal.seek(0)
            return f"exit code {done.returncode}\n{text_of(journal.read())}"

    report.compare("a wrong configuration on a terminal", on_terminal(old), on_terminal(new))
    report.compare("a wrong configuration in the journal", in_journal(old), in_journal(new))
