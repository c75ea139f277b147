"""Requests to the HTTP server, good and bad, and what is compared of the answers."""
import re

from .cases import text_of

# Answers that change with the traffic: their heads are compared, and keys and types of their bodies.
CHANGING = ["/active", "/all", "/api/v1/accounting", "/api/v1/alerts", "/api/v1/alerts/possible", "/api/v1/sinks"]
FIXED = ["/", "/dashboard", "/dashboard/", "/capabilities", "/healthz", "/api/v1/mutes"]
MUTE = '{"source": "10.5.0.0/16", "kind": "TRAFFIC", "minutes": 60, "reason": "backup"}'
JSON_TYPE = "Content-Type: application/json\r\n"
HOST = "Host: localhost\r\n"


def request(line, headers=HOST, body=""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{line} HTTP/1.1\r\n{headers}{length}Connection: close\r\n\r\n{body}"


REQUESTS = [request(f"{method} {path}") for path in CHANGING + FIXED for method in ("GET", "HEAD", "POST", "DELETE")]
REQUESTS += [request(f"GET {path}") for path in (
    "/none", "/active/", "/ACTIVE", "/active?x=1", "//active", "/api", "/api/v1/", "/api/v1/alerts/", "/api/v1/mutesx",
    "/api/v1/mutes/1", "/api/v1/mutes/x", "/dashboard/none", "/dashboard/../active", "/dashboard/licenses.txt", "*",
    "active", "http://127.0.0.1/healthz", "http://a.example/healthz", "https://localhost/healthz", "/%zz", "/\x7f")]
REQUESTS += [request(f"{method} /healthz") for method in ("PUT", "OPTIONS", "TRACE", "BREW", "get", "CONNECT", "PATCH")]
REQUESTS += [request("GET /healthz", headers) for headers in (
    "", HOST + HOST, "Host:\r\n", "Host: a.example\r\n", "Host: [::1]:99\r\n", "Host: localhost:x\r\n",
    "Host: h\xf6st\r\n", HOST + "X: " + "x" * 20_000 + "\r\n",
    HOST + "X: y\r\n" * 70, HOST + "no colon\r\n", HOST + "Content-Length: x\r\n",
    HOST + "Expect: 100-continue\r\n", HOST + "Upgrade: h2c\r\n", HOST + "Origin: http://a.example\r\n")]
REQUESTS += [request("GET /dashboard/", HOST + f"Accept-Encoding: {name}\r\n")
             for name in ("gzip", "br", "identity, *;q=0")]
REQUESTS += [request("GET /healthz", HOST, "a body"), "GET /healthz\r\n\r\n", "GET /healthz HTTP/1.0\r\n\r\n",
             "\0\r\n\r\n", "GET /healthz HTTP/9.9\r\n\r\n",
             "GET  /healthz HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
REQUESTS += [request("POST /api/v1/mutes", HOST + JSON_TYPE, body) for body in (
    "{}", "[]", "nonsense", "", '{"source": 1}', "x" * 5000, MUTE.replace("10.5.0.0/16", "10.5.0.1/16"),
    MUTE.replace("10.5.0.0/16", "here"), MUTE.replace("TRAFFIC", "LOSS"), MUTE.replace("TRAFFIC", "NONE"),
    MUTE.replace("60", "0"), MUTE.replace("60", "1e9"), MUTE.replace("60", "-1"), MUTE.replace("60", "43201"),
    MUTE.replace("backup", "x" * 300), MUTE.replace("backup", r"a\nb"), MUTE.replace("reason", "season"))]
REQUESTS += [request("POST /api/v1/mutes", headers, MUTE) for headers in (
    HOST, HOST + "Content-Type: text/plain\r\n", HOST + JSON_TYPE + "Origin: http://a.example\r\n",
    HOST + JSON_TYPE + "Sec-Fetch-Site: cross-site\r\n", "Host: a.example\r\n" + JSON_TYPE)]
# Two are made, shown, and one is taken back.
REQUESTS += [request("POST /api/v1/mutes", HOST + JSON_TYPE, MUTE)] * 2 + [request("GET /api/v1/mutes")]
REQUESTS += [request("DELETE /api/v1/mutes/1", HOST + "Origin: http://a.example\r\n")]
REQUESTS += [request("DELETE /api/v1/mutes/1", HOST, "x")]
REQUESTS += [request("DELETE /api/v1/mutes/1")] * 2 + [request("GET /api/v1/mutes")]


def answer_text(text, answer):
    """An answer without its date; of what changes with the traffic, the head alone."""
    head, _, body = text_of(answer).partition("\r\n\r\n")
    head = re.sub(r"\r\ndate: [^\r]*", "", head, flags=re.I)
    body, times = re.subn(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", body)
    # A time has as many digits behind its point as it needs.
    if times:
        head = re.sub(r"(content-length: )\d+", r"\1N", head, flags=re.I)
    if text.split(" ")[1:2] in [[path] for path in CHANGING] and head.startswith("HTTP/1.1 200 "):
        head, body = re.sub(r"(content-length: )\d+", r"\1N", head, flags=re.I), "..."
    return f"{head}\n\n{body}"
