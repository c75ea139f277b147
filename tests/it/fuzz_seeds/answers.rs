//! Seeds of what others answer: name servers, receivers of alerts, databases of GeoIP; and of requests over HTTP.

use super::{Seeds, compare_or_update};
use crate::geoip::{asn, country, database};

fn compare(target: &str, seeds: &[(&str, &[u8])]) {
    let seeds: Seeds = seeds.iter().map(|(name, seed)| ((*name).to_owned(), seed.to_vec())).collect();
    compare_or_update(target, &seeds);
}

#[test]
fn dns_answer_seeds_have_every_outcome() {
    let name = |labels: &[&str]| {
        let labels = labels.iter().flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        labels.chain([0]).collect::<Vec<u8>>()
    };
    let v4 = name(&["1", "2", "0", "192", "in-addr", "arpa"]);
    let v6 = name(&[&["1"][..], &["0"; 31], &["ip6", "arpa"]].concat());
    let header = |flags: u16, answers: u16| [0x1234, flags, 1, answers, 0, 0].map(u16::to_be_bytes).concat();
    let question = |name: &[u8]| [name, &[0, 12, 0, 1]].concat();
    // The name is a pointer to that of the question.
    let record = |kind: u8, data: &[u8]| {
        [&[0xc0, 12, 0, kind, 0, 1, 0, 0, 14, 16, 0, data.len() as u8][..], data].concat()
    };
    let host = name(&["host_1", "example", "net"]);
    let answer = |asked: &[u8], records: &[Vec<u8>]| {
        [header(0x8180, records.len() as u16), question(asked), records.concat()].concat()
    };
    compare(
        "dns_answer",
        &[
            ("v4", &answer(&v4, &[record(12, &host)])),
            ("v6", &answer(&v6, &[record(12, &host)])),
            ("alias_first", &answer(&v4, &[record(5, &host), record(12, &host)])),
            ("compressed", &answer(&v4, &[record(12, &[&[4][..], b"host", &[0xc0, 20]].concat())])),
            ("loop", &answer(&v4, &[record(12, &[0xc0, 55])])),
            ("control", &answer(&v4, &[record(12, &name(&["a\u{1b}[2J", "example"]))])),
            ("long", &answer(&v4, &[record(12, &name(&["a123456789a123456789a123456789"; 8]))])),
            ("no_name", &[header(0x8183, 0), question(&v4)].concat()),
            ("failure", &[header(0x8182, 0), question(&v4)].concat()),
            ("question_back", &[header(0x0100, 0), question(&v4)].concat()),
        ],
    );
}

#[test]
fn webhook_answer_seeds_have_every_outcome() {
    let long =
        format!("HTTP/1.1 400 Bad Request\r\nContent-Length: 5000\r\n\r\n{}", "<p>é\u{7}</p>\n".repeat(400));
    let chunked = b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5\r\nhello\r\n6; x=y\r\n world\r\n0\r\nT: 1\r\n\r\n";
    compare("webhook_answer", &[
        ("ok", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("no_content", b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
        ("continue", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
        ("seconds", b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 9\r\n\r\nslow down"),
        ("forever", b"HTTP/1.1 503 Busy\r\nRetry-After: 18446744073709551615\r\nContent-Length: 0\r\n\r\n"),
        ("date", b"HTTP/1.1 503 Busy\r\nRetry-After: Wed, 21 Oct 2065 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n"),
        ("moved", b"HTTP/1.1 301 Moved\r\nLocation: https://user:pw@elsewhere.example/x\r\nContent-Length: 0\r\n\r\n"),
        ("chunked", chunked),
        ("until_end", b"HTTP/1.0 404 Not Found\r\n\r\nno \x1b[31msuch\x1b[0m hook\n"),
        ("cut", b"HTTP/1.1 200 OK\r\nContent-Le"),
        ("other_protocol", b"220 mail.example ESMTP\r\n"),
        ("no_bytes", b""),
        ("long", long.as_bytes()),
    ]);
}

#[test]
fn syslog_answer_seeds_have_every_end() {
    compare(
        "syslog_answer",
        &[
            ("open", &[0]),
            ("open_after_text", b"\x40banner\r\n"),
            ("closed", &[1]),
            ("closed_after_text", &[&[0xfd][..], &[b'x'; 3000]].concat()),
            ("reset", b"\x42bye"),
            ("endless", &[0xff, 1]),
            ("tls_alert", b"\xfd\x15\x03\x03\x00\x02\x02\x28"),
        ],
    );
}

#[test]
fn mmdb_seeds_have_both_kinds_and_damage() {
    // Data that are a map whose value points to the map itself.
    let itself = [&[0xe1, 0x47][..], b"country", &[0x20, 0x00]].concat();
    // Arrays of two pointers each, to the next array: 2 to the power of 40 values.
    let laughs: Vec<u8> = (0..40_u8).flat_map(|at| [2, 4, 0x20, (at + 1) * 6, 0x20, (at + 1) * 6]).collect();
    let laughs = [laughs, country("NL")].concat();
    compare(
        "mmdb",
        &[
            ("country", &database(&country("NL"))),
            ("asn", &database(&asn(64500, "Example Net"))),
            ("asn_control", &database(&asn(u32::MAX, "Ex\u{1b}[2Jample\u{202e}"))),
            ("long_text", &database(&asn(1, &"x".repeat(200)))),
            ("itself", &database(&itself)),
            ("laughs", &database(&laughs)),
            ("no_data", &database(&[])),
        ],
    );
}

#[test]
fn http_seeds_have_every_route_and_bodies() {
    let mut seeds = Seeds::new();
    let mut add = |name: String, bytes: Vec<u8>| seeds.insert(name, bytes);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8698\r\n\r\n");
    let paths = [
        "/active",
        "/all",
        "/capabilities",
        "/healthz",
        "/metrics",
        "/api/v1/status",
        "/api/v1/alerts",
        "/api/v1/alerts?state=open",
        "/api/v1/alerts?state=possible",
        "/api/v1/alerts?state=closed",
        "/api/v1/hosts",
        "/api/v1/limits",
        "/api/v1/mutes",
        "/api/v1/sinks",
        "/dashboard/",
        "/",
        "/nothing",
    ];
    for path in paths {
        let name = path.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        add(format!("get{name}"), get(path).into_bytes());
    }
    add("two_requests".into(), [get("/capabilities"), get("/api/v1/mutes")].concat().into_bytes());
    add("head".into(), get("/active").replace("GET", "HEAD").into_bytes());
    add("options".into(), get("/active").replace("GET", "OPTIONS").into_bytes());
    add("other_host".into(), get("/active").replace("127.0.0.1", "evil.example").into_bytes());
    add("absolute".into(), get("http://localhost:8698/active").into_bytes());
    add(
        "etag".into(),
        get("/api/v1/alerts?state=closed")
            .replace("\r\n\r\n", "\r\nIf-None-Match: W/\"1\", *\r\n\r\n")
            .into_bytes(),
    );
    add("old".into(), b"GET /active HTTP/1.0\r\n\r\n".to_vec());
    add("delete".into(), get("/api/v1/mutes/1").replace("GET", "DELETE").into_bytes());
    let post = "POST /api/v1/mutes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let mute = r#"{"source": "10.0.0.5", "kind": "TRAFFIC", "minutes": 60, "reason": "backup"}"#;
    add("post".into(), format!("{post}Content-Length: {}\r\n\r\n{mute}", mute.len()).into_bytes());
    add(
        "post_chunked".into(),
        format!("{post}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{mute}\r\n0\r\n\r\n", mute.len())
            .into_bytes(),
    );
    add(
        "post_expects".into(),
        format!("{post}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n{mute}", mute.len()).into_bytes(),
    );
    add("post_cut".into(), format!("{post}Content-Length: 100\r\n\r\n{mute}").into_bytes());
    add(
        "post_and_delete".into(),
        format!(
            "{post}Content-Length: {}\r\n\r\n{mute}{}",
            mute.len(),
            get("/api/v1/mutes/1").replace("GET", "DELETE")
        )
        .into_bytes(),
    );
    add("mute".into(), mute.into());
    for (name, body) in [
        ("network", r#"{"source":"2001:db8::/32","minutes":43200}"#),
        ("everything", r#"{"source":"0.0.0.0/0","minutes":1,"all":true}"#),
        ("mapped", r#"{"source":"::ffff:10.0.0.0/104","minutes":1}"#),
        ("host_bits", r#"{"source":"10.0.0.5/24","minutes":1}"#),
        ("escapes", r#"{"source":"10.0.0.0/8","minutes":1,"reason":"a\u202e\u0007\ud800"}"#),
        ("too_long", r#"{"source":"10.0.0.5","minutes":18446744073709551615}"#),
        ("twice", r#"{"source":"10.0.0.5","source":"10.0.0.6","minutes":1}"#),
        ("deep", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
    ] {
        add(format!("mute_{name}"), body.into());
    }
    compare_or_update("http", &seeds);
}
