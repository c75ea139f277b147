"""Captures that are made here, and captures of the fuzzers' seeds."""
import collections
import ipaddress
import pathlib
import re
import struct

PROJECT = pathlib.Path(__file__).resolve().parents[2]

# Link types of pcap for the link kinds of fuzz/corpus/decode, by their numbers there (tests/packets/seed.rs).
SEED_LINKS = [1, 101, 228, 229, 113, 276, 9, 51, 0, 104, 10, 1]


def pcap(link_type, records):
    """A capture of (seconds, original length, bytes)."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)]
    for at, length, data in records:
        seconds, microseconds = divmod(round(at * 1e6), 10**6)
        parts += [struct.pack("<IIII", 1_790_000_000 + seconds, microseconds, len(data), length), data]
    return b"".join(parts)


def ip(src, dst, protocol, payload):
    src, dst = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if src.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + src.packed + dst.packed + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    return head + src.packed + dst.packed + payload


def tcp(src, dst, ports, flags, size=0):
    return ip(src, dst, 6, struct.pack("!HHIIBBHHH", *ports, 1, 1, 0x50, flags, 1024, 0, 0) + bytes(size))


def udp(src, dst, ports, size):
    return ip(src, dst, 17, struct.pack("!HHHH", *ports, 8 + size, 0) + bytes(size))


SYN, RST_ACK, SYN_ACK, ACK = 2, 0x14, 0x12, 0x10


def made_captures():
    """Captures that raise each kind of alert, as (name, bytes)."""

    def volume(src, dst, starts):
        return [(start + n / 10, udp(src, dst, (4000, 4001), 1400)) for start in starts for n in range(600)]

    def contacts(src, targets, flags_back, pace):
        for n, (dst, port) in enumerate(targets):
            ports = (50_000 + n % 10_000, port)
            yield n / pace, tcp(src, dst, ports, SYN)
            back = flags_back[n % len(flags_back)]
            if back:
                yield n / pace + 0.01, tcp(dst, src, ports[::-1], back)

    hosts = [f"10.9.{n // 200}.{n % 200 + 1}" for n in range(400)]
    made = {
        "volume": volume("10.0.0.1", "10.9.0.1", (0, 400, 1200)),
        "volume of IPv6": volume("2001:db8::1", "2001:db8:9::1", (0, 400)),
        "a sweep in vain": contacts("10.0.0.2", [(host, 22) for host in hosts], (None, RST_ACK), 50),
        "a slow sweep": contacts("10.0.0.3", [(host, 23) for host in hosts], (RST_ACK, SYN_ACK, None), 2),
        "a browser": contacts("10.0.0.4", [(host, 443) for host in hosts[:90]], (SYN_ACK,), 3),
        "a scan of ports": contacts("10.0.0.5", [("10.9.0.1", port) for port in range(1, 400)], (RST_ACK,), 40),
        "a silent scan of ports": contacts("10.0.0.6", [("10.9.0.2", port) for port in range(1, 60)], (None,), 9),
        "pings": [
            (n / 20, ip("10.0.0.7", host, 1, struct.pack("!BBHHH", 8, 0, 0, 1, n))) for n, host in enumerate(hosts)
        ],
        "a resolver": [(n / 9, udp("10.0.0.8", host, (5353 + n, 53), 60)) for n, host in enumerate(hosts)],
        "a victim": [(n / 99, tcp(f"198.51.{n % 99}.{n % 97}", "10.0.0.9", (n + 1, 80), SYN)) for n in range(900)],
        "backscatter": [(n / 9, tcp("10.0.0.10", host, (80, 1024 + n), SYN_ACK)) for n, host in enumerate(hosts)],
        "many addresses of an IPv6 network": [
            (n / 9, tcp(f"2001:db8::{n:x}", f"2001:db8:9::{n % 70:x}", (1024 + n, 22), SYN)) for n in range(500)
        ],
    }
    everything = []
    for name, packets in made.items():
        packets = list(packets)
        everything += packets
        yield f"{name}.pcap", pcap(101, [(at, len(data), data) for at, data in sorted(packets)])
    everything = pcap(101, [(at, len(data), data) for at, data in sorted(everything)])
    yield "everything.pcap", everything
    yield "everything, cut short.pcap", everything[:-9]


def seed_captures():
    """The seeds of the fuzzers, as (name, bytes): captures, and frames put into captures by their link."""
    for seed in sorted((PROJECT / "fuzz/corpus/capture").iterdir()):
        if not re.fullmatch("[0-9a-f]{40}", seed.name):
            yield seed.name, seed.read_bytes()
    frames = collections.defaultdict(list)
    for seed in sorted((PROJECT / "fuzz/corpus/decode").iterdir()):
        data = seed.read_bytes()
        # The highest bit is for joined segments, which a capture does not show.
        if re.fullmatch("[0-9a-f]{40}", seed.name) or len(data) < 5 or data[0] & 0x80:
            continue
        link, beyond, frame = data[0] % len(SEED_LINKS), struct.unpack("<i", data[1:5])[0], data[5:]
        frames[SEED_LINKS[link]].append((len(frames), max(len(frame) + beyond, 0), frame))
    for link_type, records in frames.items():
        yield f"frames of link type {link_type}.pcap", pcap(link_type, records)
