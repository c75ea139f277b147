"""Replay of captures by several configurations."""
import itertools
import pathlib

from .captures import made_captures, seed_captures
from .cases import Case

LOW = """TrafficInterval: 60
ByteLimit: 20K
NumberContactedIPs: 3
AnalyzePorts: true
NumContactedPorts: 5
PortInterval: 60
PacketRateLimit: 10
ContactRateLimit: 3
ReceivedByteLimit: 20K
"""
SUSPICIOUS = "ScanEvidence: suspicious\nAnalyzePorts: true\nNumContactedPorts: 15\nPortInterval: 300\n"
REPLAY_CONFIGS = {
    "defaults": "",
    "low limits": LOW,
    "ports": "AnalyzePorts: true\nNumContactedPorts: 15\n",
    "suspicious": SUSPICIOUS,
    "no destinations": LOW + "NoDestinations: true\n",
    "IPv6 groups": LOW + "GroupIPv6: 64\n",
    "limits for networks": LOW + "LimitFor: 10.0.0.0/8 ByteLimit 5K, PacketRateLimit off\nIgnoredSources: 10.0.0.2\n"
    + "LimitFor: 192.168.0.0/16 NumberContactedIPs 40, NumContactedPorts off, ReceivedByteLimit 1M\n"
    + "LimitFor: 192.168.1.0/24 ContactRateLimit 9, ByteLimit off\nLimitFor: ::/1 NumberContactedIPs 9, ByteLimit 1K\n",
    "short windows": LOW.replace(": 60", ": 5") + "AlertCooldown: 0\n",
    "little memory": LOW + "MemoryLimit: 32M\n",
    "two workers": LOW + "Workers: 2\n",
    "JSON log": LOW + "LogFormat: json\n",
}
# These are printed for a reader as well.
AS_TEXT = ["low limits", "suspicious", "no destinations"]


def captures_in(folders):
    for folder in folders:
        inner = folder / "captures"
        yield from sorted(path for path in (inner if inner.is_dir() else folder).iterdir() if path.is_file())


def replay_cases(folder, folders):
    configs = {}
    for name, text in REPLAY_CONFIGS.items():
        configs[name] = f"{name.replace(' ', '-')}.conf"
        (folder / configs[name]).write_text(text)
    captures = []
    for number, (name, data) in enumerate(itertools.chain(made_captures(), seed_captures())):
        # A seed may have the name of another one.
        path = folder / f"{number}-{name}"
        path.write_bytes(data)
        captures.append(path.name)
    captures += [str(path.resolve()) for path in captures_in(folders)]
    for capture in captures:
        shown = pathlib.Path(capture).name
        for name, config in configs.items():
            what = f"replay of {shown}, {name}"
            yield Case(f"{what}, as JSON", ["replay", "--config", config, "--json", "-", capture], folder)
            if name in AS_TEXT:
                yield Case(f"{what}, as text", ["replay", "--config", config, capture], folder)
        two = ["--config", configs["low limits"], "--config", configs["short windows"]]
        yield Case(f"replay of {shown} by two configurations", ["replay", *two, capture], folder)
        yield Case(f"the same of {shown}, as JSON", ["replay", *two, "--json", "-", capture], folder)
    for one, other in zip(captures, captures[1:]):
        names = " and ".join(pathlib.Path(capture).name for capture in (one, other))
        arguments = ["replay", "--config", configs["low limits"], "--json", "-", one, other]
        yield Case(f"replay of {names}", arguments, folder)
