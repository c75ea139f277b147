//! The HTTP server over real sockets: exact bodies, and every way in which a client can misbehave.
//!
//! Nothing here sleeps. Where time matters the server gets short bounds and the client waits for what must
//! happen, with a deadline after which the test fails.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in helpers as well")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tempfile::TempDir;
use traffic_alerted::alert::{Alert, AlertKind, AlertProgress, Counts, Secret, SinkHealth, SinkName};
use traffic_alerted::api::view::{Capabilities, LimitsInForce};
use traffic_alerted::api::{ApiError, Bounds, Options, RunningServer, Server, SocketOption};
use traffic_alerted::detect::{HostLimits, LimitException, ScanRule};
use traffic_alerted::enrich::{GeoIp, GeoIpOptions};
use traffic_alerted::flow::{HostRow, KernelCounts, PeerBytes, Published};
use traffic_alerted::packet::Skip;
use traffic_alerted::report::{ActiveHost, AnalystStep, LongestTime, Report};
use traffic_alerted::time::UnixNanos;

#[test]
fn without_data_the_lists_are_empty() {
    let served = Served::with(Report::default());
    assert_eq!(served.get("/active").text(), "[]");
    assert_eq!(served.get("/all").text(), "[]");
}

#[test]
fn the_lists_are_the_originals() {
    let served = Served::with(small_report());
    let active = served.get("/active");
    assert_eq!((active.status, active.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        active.text(),
        concat!(
            r#"[{"EventType":"TRAFFIC+SCANNING+SCANNING_PORT","SourceIP":"10.1.1.1","#,
            r#""DestinationIP":[{"IP":"10.9.9.9","Bytes":30000},{"IP":"10.9.9.8","Bytes":840}],"TotalBytes":30840},"#,
            r#"{"EventType":"SCANNING","SourceIP":"fd00::1","#,
            r#""DestinationIP":[{"IP":"fd00::2","Bytes":50}],"TotalBytes":1000}]"#
        )
    );
    assert_eq!(
        served.get("/all").text(),
        concat!(
            r#"[{"EventType":"","SourceIP":"10.1.1.7","DestinationIP":[],"TotalBytes":18446744073709551615},"#,
            r#"{"EventType":"TRAFFIC+SCANNING+SCANNING_PORT","SourceIP":"10.1.1.1","#,
            r#""DestinationIP":[{"IP":"10.9.9.9","Bytes":30000},{"IP":"10.9.9.8","Bytes":840}],"TotalBytes":30840}]"#
        )
    );
}

#[test]
fn hidden_destinations_are_hidden_everywhere() {
    let mut options = options();
    options.capabilities.no_destinations = true;
    let served = Served::bound(&options, Bounds::default(), small_report());
    for path in ["/active", "/all"] {
        let text = served.get(path).text();
        assert!(text.contains(r#""DestinationIP":[],"TotalBytes":30840"#), "{text}");
        assert!(!text.contains("10.9.9.9") && !text.contains("fd00::2"), "{text}");
    }
}

#[test]
fn alerts_have_the_origin_of_their_hosts() {
    let folder = TempDir::new().unwrap();
    let geoip = |code: &str, asn: u32| {
        let save = |name: String, data: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, crate::geoip::database(data)).unwrap();
            Some(path)
        };
        GeoIp::read(GeoIpOptions {
            country_database: save(format!("{code}.mmdb"), &crate::geoip::country(code)),
            asn_database: save(format!("{asn}.mmdb"), &crate::geoip::asn(asn, "Example")),
        })
    };
    let of = |alerts: Vec<Alert>| Report { alerts, ..Report::default() };
    let report = Arc::new(Published::new(of(vec![alert([192, 0, 2, 1]), alert([10, 0, 0, 5])])));
    let server = Server::bind(&options()).unwrap().with_geoip(geoip("NL", 64_500));
    let addr = server.local_addr();
    let served = Served { running: server.start(Arc::clone(&report)).unwrap(), report, addr };
    let origins = || {
        let alerts: serde_json::Value = serde_json::from_str(&served.get("/api/v1/alerts").text()).unwrap();
        let of = |alert: &serde_json::Value| {
            ["source_country", "source_asn", "source_as_organization"].map(|key| alert[key].clone())
        };
        (of(&alerts[0]), of(&alerts[1]))
    };
    let nothing = || [const { serde_json::Value::Null }; 3];
    assert_eq!(origins(), (["NL".into(), 64_500.into(), "Example".into()], nothing()));
    let alerts: serde_json::Value = serde_json::from_str(&served.get("/api/v1/alerts").text()).unwrap();
    let sentence = "TRAFFIC: 192.0.2.1 (NL, AS64500) sent 2 B in 170 s, the limit is 1 B";
    assert_eq!((&alerts[0]["sentence"], &alerts[0]["window_seconds"]), (&sentence.into(), &170.into()));
    // A possible alert is marked as such, and there is a list of these alone.
    let mut possible = alert([192, 0, 2, 2]);
    possible.progress = AlertProgress { is_possible: true, error_bound: 7, ..AlertProgress::default() };
    served.report.publish(of(vec![alert([192, 0, 2, 1]), possible]));
    let json = |path| -> serde_json::Value { serde_json::from_str(&served.get(path).text()).unwrap() };
    let all = json("/api/v1/alerts");
    assert_eq!((&all[0]["state"], &all[1]["state"]), (&"open".into(), &"possible".into()));
    assert_eq!((&all[1]["evidence"]["possible"], &all[1]["evidence"]["up_to"]), (&true.into(), &9.into()));
    assert_eq!(json("/api/v1/alerts/possible"), serde_json::Value::Array(vec![all[1].clone()]));
    served.running.set_geoip(geoip("BE", 64_501));
    served.report.publish(of(vec![alert([192, 0, 2, 1]), alert([10, 0, 0, 5])]));
    assert_eq!(origins(), (["BE".into(), 64_501.into(), "Example".into()], nothing()));
}

#[test]
fn alerts_are_served_by_their_state() {
    let is_possible = AlertProgress { is_possible: true, error_bound: 7, ..AlertProgress::default() };
    let closed = |second: u64| {
        let closed_at = Some(UnixNanos(1_790_000_000_000_000_000 + second * 1_000_000_000));
        Arc::new(Alert { id: format!("closed-{second}"), closed_at, ..alert([192, 0, 2, 9]) })
    };
    let report = Report {
        alerts: vec![
            Alert { id: "certain".into(), ..alert([192, 0, 2, 1]) },
            Alert { id: "possible".into(), progress: is_possible, ..alert([192, 0, 2, 2]) },
        ],
        closed: Arc::new(vec![closed(20), closed(10)]),
        ..Report::default()
    };
    let served = Served::with(report);
    let states = |path: &str| -> Vec<String> {
        let alerts: Vec<serde_json::Value> = serde_json::from_str(&served.get(path).text()).unwrap();
        alerts.iter().map(|alert| format!("{} {}", alert["id"], alert["state"]).replace('"', "")).collect()
    };
    for (path, expected) in [
        ("/api/v1/alerts", &["certain open", "possible possible"][..]),
        ("/api/v1/alerts?", &["certain open", "possible possible"]),
        ("/api/v1/alerts?state=open", &["certain open"]),
        ("/api/v1/alerts?state=possible", &["possible possible"]),
        ("/api/v1/alerts/possible", &["possible possible"]),
        ("/api/v1/alerts?state=closed", &["closed-20 closed", "closed-10 closed"]),
    ] {
        assert_eq!(states(path), expected, "{path}");
    }
    // The object is that of an open alert, with the time of its end.
    let first = |path: &str| -> serde_json::Value {
        let alerts: serde_json::Value = serde_json::from_str(&served.get(path).text()).unwrap();
        alerts[0].clone()
    };
    let (open, closed) = (first("/api/v1/alerts"), first("/api/v1/alerts?state=closed"));
    let keys = |alert: &serde_json::Value| alert.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&open), keys(&closed));
    assert_eq!((&open["closed_at"], &closed["closed_at"]), (&().into(), &"2026-09-21T14:13:40Z".into()));
}

#[test]
fn the_closed_alerts_are_sent_again_only_if_they_have_changed() {
    const PATH: &str = "/api/v1/alerts?state=closed";
    let closed = Arc::new(vec![Arc::new(alert([192, 0, 2, 9]))]);
    let of = |closed: &Arc<Vec<Arc<Alert>>>| Report { closed: Arc::clone(closed), ..Report::default() };
    let served = Served::with(of(&closed));
    let first = served.get(PATH);
    let etag = first.header("etag").unwrap();
    assert_eq!((first.status, first.header("cache-control")), (200, Some("no-store")));
    let ask = |etag: &str| served.request("GET", PATH, &format!("If-None-Match: {etag}\r\n"));
    // A new report with the same list changes nothing.
    served.report.publish(of(&closed));
    let again = ask(etag);
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(etag)));
    assert_eq!(again.header("content-type"), None);
    served.report.publish(of(&Arc::new(Vec::new())));
    let changed = ask(etag);
    assert_eq!((changed.status, changed.text().as_str()), (200, "[]"));
    assert_ne!(changed.header("etag"), Some(etag));
    assert_eq!(ask("\"other\"").status, 200);
}

#[test]
fn alerts_have_the_origins_of_databases_that_are_read_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("country.mmdb");
    let save =
        |code: &str| std::fs::write(&path, crate::geoip::database(&crate::geoip::country(code))).unwrap();
    save("NL");
    let geoip = GeoIp::read(GeoIpOptions { country_database: Some(path.clone()), asn_database: None });
    let report = Report {
        alerts: vec![alert([192, 0, 2, 1])],
        closed: Arc::new(vec![Arc::new(alert([192, 0, 2, 1]))]),
        ..Report::default()
    };
    let report = Arc::new(Published::new(report));
    let server = Server::bind(&options()).unwrap().with_geoip(geoip.clone());
    let addr = server.local_addr();
    let served = Served { running: server.start(Arc::clone(&report)).unwrap(), report, addr };
    const PATHS: [&str; 3] = ["/api/v1/alerts", "/api/v1/alerts?state=open", "/api/v1/alerts?state=closed"];
    for path in PATHS {
        assert!(served.get(path).text().contains(r#""source_country":"NL""#), "{path}");
    }
    let etag = served.get(PATHS[2]).header("etag").unwrap().to_owned();
    save("BE");
    geoip.read_again(&[]);
    served.running.set_geoip(geoip);
    // The report is the same as before.
    let tagged = format!("If-None-Match: {etag}\r\n");
    let closed = served.request("GET", PATHS[2], &tagged);
    assert_eq!(closed.status, 200);
    assert_ne!(closed.header("etag"), Some(etag.as_str()));
    for path in PATHS {
        assert!(served.get(path).text().contains(r#""source_country":"BE""#), "{path}");
    }
}

#[test]
fn a_query_that_our_own_json_does_not_have_is_refused() {
    let served = Served::with(small_report());
    let states = "/api/v1/alerts has state=open|possible|closed";
    for (target, expected) in [
        ("/api/v1/alerts?stat=open", format!("there is no parameter \"stat\"; {states}")),
        ("/api/v1/alerts?state=all", format!("state cannot be \"all\"; {states}")),
        ("/api/v1/alerts?state", format!("state cannot be \"\"; {states}")),
        ("/api/v1/alerts?state=open&state=closed", format!("state is set twice; {states}")),
        (
            "/api/v1/alerts?state=%6",
            format!(
                "\"state=%6\" has a malformed escape (write % and two hexadecimal digits, as UTF-8); {states}"
            ),
        ),
        (
            "/api/v1/alerts/possible?state=open",
            "there is no parameter \"state\"; /api/v1/alerts/possible has no parameters".to_owned(),
        ),
        (
            "/api/v1/accounting?x=1",
            "there is no parameter \"x\"; /api/v1/accounting has no parameters".to_owned(),
        ),
    ] {
        let reply = served.get(target);
        assert_eq!(reply.status, 400, "{target}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{target}");
        let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(problem["detail"], expected, "{target}");
        let mut client = served.connect();
        write!(client, "HEAD {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        assert_eq!(Reply::read_head(&mut BufReader::new(client)).unwrap().0, 400, "{target}");
    }
    for path in ["accounting", "limits", "sinks", "mutes", "mutes/7"] {
        assert_eq!(served.get(&format!("/api/v1/{path}?x=1")).status, 400, "{path}");
    }
    // A request that is not for this server is refused for that, and a path that is not there is not found.
    assert_eq!(served.get("/api/v1/nothing?x=1").status, 404);
    let elsewhere = served
        .exchange(b"GET /api/v1/alerts?x=1 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!(elsewhere.status, 421);
    // Other paths ignore their query, as the original does.
    for path in ["/active", "/all", "/capabilities", "/healthz"] {
        assert_eq!(served.get(&format!("{path}?x=1&x=2&%zz")).body, served.get(path).body, "{path}");
    }
}

#[test]
fn limits_are_numbers_under_their_keys_and_null_if_they_are_off() {
    let network = |text: &str| text.parse().unwrap();
    let mut options = options();
    options.capabilities.limits = LimitsInForce {
        hosts: HostLimits::default()
            .with(AlertKind::Traffic, Some(20_000))
            .with(AlertKind::Scanning, Some(15)),
        networks: vec![(
            network("10.0.5.0/24"),
            vec![
                LimitException { kind: AlertKind::Traffic, max: Some(5) },
                LimitException { kind: AlertKind::Scanning, max: None },
            ],
        )],
        ignored: vec![network("10.0.0.9/32"), network("fd00::/8")],
        loss_ppm_max: Some(1_000),
        scan_rule: ScanRule::Suspicious,
        group_ipv6: Some(64),
    };
    let served = Served::bound(&options, Bounds::default(), Report::default());
    assert_eq!(
        served.get("/api/v1/limits").text(),
        concat!(
            r#"{"traffic_interval":170,"port_interval":600,"#,
            r#""hosts":{"ByteLimit":20000,"NumberContactedIPs":15,"NumContactedPorts":null,"#,
            r#""PacketRateLimit":null,"ContactRateLimit":null,"ReceivedByteLimit":null},"#,
            r#""networks":[{"network":"10.0.5.0/24","limits":{"ByteLimit":5,"NumberContactedIPs":null}}],"#,
            r#""ignored_sources":["10.0.0.9","fd00::/8"],"scan_evidence":"suspicious","loss_percent":0.1,"#,
            r#""group_ipv6":64,"destinations_hidden":false}"#
        )
    );
}

#[test]
fn capabilities_have_the_originals_names_and_order() {
    let served = Served::with(Report::default());
    assert_eq!(
        served.get("/capabilities").text(),
        concat!(
            r#"{"TrafficInterval":170,"ByteLimit":20000,"NoDestinations":false,"ContactedIPsAnalyze":true,"#,
            r#""NumberContactedIPs":15,"AnalyzePorts":false,"NumContactedPorts":100,"PortInterval":600,"#,
            r#""ChartMinBytes":1,"ExcludedInterfaces":["lo"]}"#
        )
    );
}

#[test]
fn accounting_has_every_count_of_frames() {
    let mut report = Report { is_wire_exact: true, ..Report::default() };
    report.snapshot.hosts_omitted = 9;
    let counted = &mut report.snapshot.accounting;
    counted.frames = 100;
    counted.counted_frames = 90;
    counted.ip_packets = 290;
    counted.ip_bytes = 12_345;
    counted.skipped[Skip::NotIp as usize] = 6;
    counted.skipped[Skip::IpVersion as usize] = 3;
    counted.skipped[Skip::IpTruncated as usize] = 1;
    counted.length_mismatch_packets = 2;
    counted.super_frames = 3;
    counted.super_frames_as_one = 1;
    counted.spilled_packets = 5;
    counted.spilled_bytes = 500;
    counted.spilled_ports = 4;
    counted.undecided_exchanges = 7;
    counted.kernel = KernelCounts { tp_packets: 108, tp_drops: 8, tp_freezes: 1 };
    let us = Duration::from_micros;
    report.lag.waited.max = us(12_500);
    report.lag.steps[AnalystStep::Judge as usize] = LongestTime { lately: us(1500), max: us(3000) };
    (report.lag.reports_put_off, report.lag.judgements_put_off) = (2, 1);
    let served = Served::with(report);
    assert_eq!(
        served.get("/api/v1/accounting").text(),
        concat!(
            r#"{"wire_exact":true,"frames":100,"counted_frames":90,"ip_packets":290,"ip_bytes":12345,"#,
            r#""skipped":{"not_ip":6,"ip_truncated":1,"ip_version":3},"malformed_ip_packets":4,"#,
            r#""length_mismatch_packets":2,"super_frames":3,"super_frames_as_one":1,"spilled_packets":5,"spilled_bytes":500,"spilled_ports":4,"#,
            r#""undecided_exchanges":7,"hosts_omitted":9,"#,
            r#""kernel":{"tp_packets":108,"tp_drops":8,"tp_freezes":1,"frames_in_rings":0,"#,
            r#""backlog_drops":null,"time_squeezes":null},"#,
            r#""loss":{"tp_packets":0,"tp_drops":0,"dropped":0.0,"alert_since":null},"#,
            r#""analyst":{"waited":{"lately_ms":0.0,"max_ms":12.5},"steps":{"#,
            r#""fold":{"lately_ms":0.0,"max_ms":0.0},"turn":{"lately_ms":0.0,"max_ms":0.0},"#,
            r#""judge":{"lately_ms":1.5,"max_ms":3.0},"report":{"lately_ms":0.0,"max_ms":0.0}},"#,
            r#""reports_put_off":2,"judgements_put_off":1},"interfaces":[],"#,
            r#""topology":{"forwards":false,"local_networks":[],"#,
            r#""changes":{"count":0,"last_ms":0.0,"max_ms":0.0}},"#,
            r#""alerts":{"open":0,"places":10000,"discarded_findings":0,"displaced":0,"forgotten":0}}"#
        )
    );
}

#[test]
fn sinks_have_the_counts_of_their_notices_and_say_whether_they_deliver() {
    let mut report = Report::default();
    let counts = Counts {
        queued: 9,
        delivered: 5,
        retried: 7,
        failed: 1,
        dropped: 2,
        dropped_openings: 1,
        summarised: 0,
    };
    report.sinks = vec![
        (SinkName::Log, Counts::default()),
        (SinkName::Command, Counts::default()),
        (SinkName::Webhook, counts),
    ];
    let error = Some((UnixNanos(1_790_000_001_000_000_000), "the helper \"is\" gone".to_owned()));
    let failing =
        SinkHealth { failing_since: Some(UnixNanos(1_790_000_000_000_000_000)), ..SinkHealth::default() };
    report.sink_health = vec![
        (SinkName::Command, SinkHealth { last_error: error, ..failing }),
        (SinkName::Webhook, SinkHealth { is_holding: true, ..SinkHealth::default() }),
    ];
    assert_eq!(
        Served::with(report).get("/api/v1/sinks").text(),
        concat!(
            r#"[{"name":"log","queued":0,"delivered":0,"retried":0,"failed":0,"dropped":0,"dropped_openings":0,"summarised":0,"waiting":0,"state":"ok","failing_since":null,"error":null},"#,
            r#"{"name":"AlertCommand","queued":0,"delivered":0,"retried":0,"failed":0,"dropped":0,"dropped_openings":0,"summarised":0,"waiting":0,"#,
            r#""state":"failing","failing_since":"2026-09-21T14:13:20Z","error":{"at":"2026-09-21T14:13:21Z","text":"the helper \"is\" gone"}},"#,
            r#"{"name":"WebhookURL","queued":9,"delivered":5,"retried":7,"failed":1,"dropped":2,"dropped_openings":1,"summarised":0,"waiting":3,"#,
            r#""state":"waiting","failing_since":null,"error":null}]"#
        )
    );
}

#[test]
fn a_new_report_is_served_at_once() {
    let served = Served::with(small_report());
    assert_ne!(served.get("/all").text(), "[]");
    served.report.publish(Report::default());
    assert_eq!(served.get("/all").text(), "[]");
    assert_eq!(served.get("/active").text(), "[]");
}

#[test]
fn health_and_ways_to_the_dashboard() {
    let served = Served::with(Report::default());
    let health = served.get("/healthz");
    assert_eq!((health.status, health.text().as_str()), (200, "ok"));
    for (path, status) in [("/dashboard", 308), ("/", 307), ("/?from=somewhere", 307)] {
        let reply = served.get(path);
        assert_eq!((reply.status, reply.header("location")), (status, Some("/dashboard/")), "{path}");
    }
}

#[test]
fn every_answer_carries_the_headers_that_protect_it() {
    let served = Served::with(Report::default());
    for path in ["/active", "/all", "/capabilities", "/healthz", "/api/v1/accounting", "/", "/nothing"] {
        let reply = served.get(path);
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(reply.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
    }
}

#[test]
fn what_a_proxy_on_this_host_forwards_needs_the_token() {
    let token = "0123456789abcdefghijklmnopqrstuv";
    let with_token = Options { token: Some(Secret::Here(token.into())), ..options() };
    let served = Served::bound(&with_token, Bounds::default(), Report::default());
    let forwarded = "X-Forwarded-For: 192.0.2.1\r\n";
    for path in ["/active", "/all", "/capabilities", "/api/v1/alerts", "/api/v1/status", "/nothing"] {
        assert_eq!(served.request("GET", path, forwarded).status, 401, "{path}");
    }
    assert_eq!(served.get("/active").status, 200, "this host reads");
    assert_eq!(served.request("GET", "/healthz", forwarded).status, 200);
    let bearer = format!("{forwarded}Authorization: Bearer {token}\r\n");
    assert_eq!(served.request("GET", "/active", &bearer).status, 200);

    let may_read = |headers: &str| {
        let session: serde_json::Value =
            serde_json::from_slice(&served.request("GET", "/api/v1/session", headers).body).unwrap();
        session["may_read"] == true
    };
    assert!(may_read("") && !may_read(forwarded));
    // The page at https:// signs in, and its session reads.
    let body = format!("{{\"token\":\"{token}\"}}");
    let host = served.addr;
    let sign_in = format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\n{forwarded}\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let signed_in = served.exchange(sign_in.as_bytes());
    assert_eq!(signed_in.status, 204);
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap();
    let with_cookie = format!("{forwarded}Cookie: {cookie}\r\n");
    assert_eq!(served.request("GET", "/active", &with_cookie).status, 200);
    assert!(may_read(&with_cookie));
}

#[test]
fn each_request_gets_its_status() {
    let served = Served::with(small_report());
    let host = format!("Host: {}\r\n", served.addr);
    let port = served.addr.port();
    let cases: &[(String, u16)] = &[
        (format!("GET /nothing HTTP/1.1\r\n{host}"), 404),
        (format!("GET /activex HTTP/1.1\r\n{host}"), 404),
        (format!("GET //active HTTP/1.1\r\n{host}"), 404),
        (format!("GET /dashboard/../active HTTP/1.1\r\n{host}"), 404),
        (format!("GET /dashboard/..%2factive HTTP/1.1\r\n{host}"), 404),
        (format!("GET /%61ctive HTTP/1.1\r\n{host}"), 404),
        (format!("POST /active HTTP/1.1\r\n{host}"), 405),
        (format!("DELETE /nothing HTTP/1.1\r\n{host}"), 405),
        (format!("OPTIONS * HTTP/1.1\r\n{host}"), 405),
        (format!("TRACE /active HTTP/1.1\r\n{host}"), 405),
        (format!("CONNECT localhost:{port} HTTP/1.1\r\n{host}"), 405),
        (format!("PRI /active HTTP/1.1\r\n{host}"), 405),
        ("GET /active HTTP/1.1\r\n".into(), 400),
        ("GET /active HTTP/1.0\r\n".into(), 400),
        ("GET /active HTTP/1.1\r\nHost:\r\n".into(), 421),
        ("GET /active HTTP/1.1\r\nHost: evil.example\r\n".into(), 421),
        (format!("GET /active HTTP/1.1\r\nHost: evil.example:{port}\r\n"), 421),
        ("GET /active HTTP/1.1\r\nHost: localhost\r\n".into(), 200),
        ("GET /active HTTP/1.1\r\nHost: localhost:1\r\n".into(), 200),
        (format!("GET /active HTTP/1.1\r\n{host}{host}"), 400),
        (format!("GET http://evil.example/active HTTP/1.1\r\n{host}"), 421),
        (format!("GET https://localhost:{port}/active HTTP/1.1\r\n{host}"), 421),
        (format!("GET active HTTP/1.1\r\n{host}"), 400),
        (format!("GET  /active HTTP/1.1\r\n{host}"), 400),
        (format!("GET /act\u{1}ive HTTP/1.1\r\n{host}"), 400),
        (format!("GET /active HTTP/3.7\r\n{host}"), 400),
        (format!("GET /active\r\n{host}"), 400),
        (format!("GET /active HTTP/1.1\r\n{host}Broken Name: x\r\n"), 400),
        (format!("GET /active HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (format!("GET /active HTTP/1.1\r\n{host}Content-Length: -1\r\n"), 400),
        (format!("GET /active HTTP/1.1\r\n{host}Content-Length: 5\r\n"), 413),
        (format!("GET /active HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n"), 413),
        ("\u{16}\u{3}\u{1} this is a TLS hello, more or less\r\n".into(), 400),
    ];
    for (head, expected) in cases {
        let reply = served.exchange(format!("{head}Connection: close\r\n\r\n").as_bytes());
        assert_eq!(reply.status, *expected, "{head:?}");
        if reply.status == 405 {
            assert_eq!(reply.header("allow"), Some("GET, HEAD"), "{head:?}");
        }
    }
    assert_eq!(served.get("/healthz").status, 200, "nothing else changes");
}

#[test]
fn a_refusal_is_a_problem_document() {
    let served = Served::with(Report::default());
    let reply = served.get("/nothing");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["title"], "Not Found");
    assert_eq!(problem["status"], 404);
    assert!(problem["detail"].as_str().unwrap().contains("/active"), "{problem}");
}

#[test]
fn other_forms_of_a_valid_request() {
    let served = Served::with(Report::default());
    let port = served.addr.port();
    for head in [
        format!("GET http://127.0.0.1:{port}/active HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"),
        format!("GET /active?refresh=1 HTTP/1.1\r\nHost: LOCALHOST:{port}\r\n"),
        format!("GET /active HTTP/1.1\r\nHost: [::1]:{port}\r\n"),
        format!("GET /active HTTP/1.0\r\nHost: localhost:{port}\r\n"),
        format!("GET /active HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 0\r\n"),
    ] {
        let reply = served.exchange(format!("{head}Connection: close\r\n\r\n").as_bytes());
        assert_eq!((reply.status, reply.text().as_str()), (200, "[]"), "{head:?}");
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let served = Served::with(small_report());
    for path in ["/active", "/all", "/capabilities", "/nothing", "/"] {
        let get = served.get(path);
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", served.addr);
        let mut raw = served.connect();
        raw.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        raw.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "", "{path}");
        assert!(head.starts_with(&format!("HTTP/1.1 {} ", get.status)), "{path}: {head}");
        let length = format!("content-length: {}", get.body.len());
        assert!(head.lines().any(|line| line.eq_ignore_ascii_case(&length)), "{path}: {head}");
    }
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let served = Served::with(small_report());
    let mut client = served.connect();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", served.addr);
    let paths = ["/healthz", "/all", "/nothing", "/active", "/healthz"];
    let all_at_once: String = paths.iter().map(|path| request(path)).collect();
    client.write_all(all_at_once.as_bytes()).unwrap();
    let mut reader = BufReader::new(client);
    let statuses: Vec<u16> = paths.iter().map(|_| Reply::read(&mut reader).status).collect();
    assert_eq!(statuses, [200, 200, 404, 200, 200]);
}

#[test]
fn a_head_in_single_bytes_is_a_head() {
    let served = Served::with(Report::default());
    let mut client = served.connect();
    client.set_nodelay(true).unwrap();
    for byte in format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", served.addr).bytes()
    {
        client.write_all(&[byte]).unwrap();
    }
    assert_eq!(Reply::read(&mut BufReader::new(client)).text(), "ok");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let served = Served::with(Report::default());
    let host = served.addr;
    let long_header =
        format!("GET /active HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\n\r\n", "x".repeat(20_000));
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n", "x".repeat(20_000));
    let many_headers = format!("GET /active HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "A: b\r\n".repeat(100));
    let endless = "x".repeat(1 << 20);
    for (name, head) in
        [("header", long_header), ("target", long_target), ("count", many_headers), ("endless", endless)]
    {
        assert_eq!(served.exchange_as_far_as_read(head.as_bytes()).status, 431, "{name}");
    }
    let fits = format!(
        "GET /healthz HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\nConnection: close\r\n\r\n",
        "x".repeat(8000)
    );
    assert_eq!(served.exchange(fits.as_bytes()).status, 200);
}

#[test]
fn a_body_is_refused_and_the_refusal_arrives() {
    let served = Served::with(Report::default());
    // Far more than any socket buffer holds, so the server must answer before it was sent.
    let body = vec![b'x'; 32 << 20];
    for (method, expected) in [("POST", 405), ("GET", 413)] {
        let head = format!(
            "{method} /active HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            served.addr,
            body.len()
        );
        // A client that reads while it writes gets the response of a server that closes early.
        let mut client = served.connect();
        client.write_all(head.as_bytes()).unwrap();
        let mut writer = client.try_clone().unwrap();
        let sent = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                body.chunks(4096)
                    .map_while(|chunk| writer.write_all(chunk).ok().map(|()| chunk.len()))
                    .sum::<usize>()
            });
            assert_eq!(Reply::read(&mut BufReader::new(client)).status, expected, "{method}");
            sending.join().unwrap()
        });
        assert!(sent < body.len(), "{method}: the server took a body of {sent} bytes");
    }
}

#[test]
fn a_client_that_writes_before_it_reads_gets_its_answer() {
    let served = Served::bounded(Bounds { linger_timeout: TIMEOUT, ..Bounds::default() });
    let body = vec![b'x'; 200 << 10];
    let head =
        format!("POST /active HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", served.addr, body.len());
    let mut client = served.connect();
    client.write_all(head.as_bytes()).unwrap();
    // The server has responded, and would have closed by now; the body follows.
    assert!(wait_for(&client, PollFlags::POLLIN | PollFlags::POLLHUP, TIMEOUT));
    for chunk in body.chunks(4096) {
        client.write_all(chunk).expect("the server reads on");
    }
    let mut reader = BufReader::new(client);
    assert_eq!(Reply::read(&mut reader).status, 405);
    assert_eq!(rest(&mut reader), b"");
}

#[test]
fn a_small_body_that_came_along_does_not_become_the_next_request() {
    let served = Served::with(Report::default());
    let smuggled = format!("GET /all HTTP/1.1\r\nHost: {}\r\n\r\n", served.addr);
    let request = format!(
        "GET /active HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{smuggled}",
        served.addr,
        smuggled.len()
    );
    let mut client = served.connect();
    client.write_all(request.as_bytes()).unwrap();
    let mut reader = BufReader::new(client);
    assert_eq!(Reply::read(&mut reader).status, 413);
    assert_eq!(rest(&mut reader), b"", "one answer, then the end");
}

#[test]
fn a_slow_head_is_cut_and_no_other_client_waits() {
    let limit = Duration::from_secs(1);
    let served = Served::bounded(Bounds { head_timeout: limit, ..Bounds::default() });
    let begun = Instant::now();
    let mut slow = served.connect();
    slow.write_all(b"GET /active HTTP/1.1\r\nHost: loc").unwrap();
    let silent = served.connect();
    assert_eq!(served.get("/healthz").status, 200);
    for client in [slow, silent] {
        assert_eq!(rest(&mut BufReader::new(client)), b"");
        assert!(begun.elapsed() >= limit, "cut after {:?}", begun.elapsed());
    }
}

#[test]
fn an_idle_connection_is_closed() {
    let served = Served::bounded(Bounds { head_timeout: Duration::from_secs(1), ..Bounds::default() });
    let mut client = served.connect();
    client.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", served.addr).as_bytes()).unwrap();
    let mut reader = BufReader::new(client);
    assert_eq!(Reply::read(&mut reader).text(), "ok");
    assert_eq!(rest(&mut reader), b"");
}

#[test]
fn connections_beyond_the_limit_get_an_error() {
    let served = Served::bounded(Bounds { connections_max: 2, refusals_max: 1, ..Bounds::default() });
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", served.addr);
    // A response on each proves that both connections count.
    let mut holders: Vec<_> = (0..2).map(|_| BufReader::new(served.connect())).collect();
    for holder in &mut holders {
        holder.get_mut().write_all(request.as_bytes()).unwrap();
        assert_eq!(Reply::read(holder).text(), "ok");
    }
    // The health is answered all the same.
    let mut prober = BufReader::new(served.connect());
    prober.get_mut().write_all(request.as_bytes()).unwrap();
    assert_eq!(Reply::read(&mut prober).text(), "ok");
    drop(prober);
    let request = request.replace("/healthz", "/active");
    let mut third = BufReader::new(served.connect());
    third.get_mut().write_all(request.as_bytes()).unwrap();
    let refused = Reply::read(&mut third);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.text().starts_with("too many connections"), "{}", refused.text());
    assert_eq!(rest(&mut third), b"");

    // A connection that ends makes room for another one. The server may refuse until it has noticed the end.
    drop(holders.remove(0));
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let mut next = BufReader::new(served.connect());
        next.get_mut().write_all(request.as_bytes()).unwrap();
        if Reply::read_if_any(&mut next).is_some_and(|reply| reply.status == 200) {
            break;
        }
        assert!(Instant::now() < deadline, "the free place was never given away");
    }
}

#[test]
fn a_slow_reader_is_cut_and_no_other_client_waits() {
    let served = Served::bound(
        &options(),
        Bounds { answer_timeout: Duration::from_millis(300), ..Bounds::default() },
        large_report(),
    );
    let mut slow = served.connect();
    slow.write_all(format!("GET /all HTTP/1.1\r\nHost: {}\r\n\r\n", served.addr).as_bytes()).unwrap();
    assert!(wait_for(&slow, PollFlags::POLLIN, TIMEOUT), "the answer begins");
    // Requested with HEAD, since a client that reads all of it may be slow as well on a busy machine.
    let length = served.head_length("/all");
    assert!(length > 16 << 20, "only {length} bytes: the socket buffers may hold that");
    assert_eq!(served.get("/healthz").status, 200);
    assert!(wait_for(&slow, PollFlags::POLLERR | PollFlags::POLLHUP, TIMEOUT), "the slow reader is not cut");
    let mut taken = Vec::new();
    let end = slow.read_to_end(&mut taken);
    assert!(end.is_err() && taken.len() < length, "{end:?} after {} bytes", taken.len());
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn a_reader_that_takes_its_time_within_the_bound_gets_everything() {
    let served = Served::bound(&options(), Bounds::default(), large_report());
    let expected = served.get("/all").body;
    let mut client = served.connect();
    client
        .write_all(
            format!("GET /all HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", served.addr).as_bytes(),
        )
        .unwrap();
    let mut reader = BufReader::with_capacity(1 << 10, client);
    assert_eq!(Reply::read(&mut reader).body, expected);
}

#[test]
fn requests_whose_answers_are_not_read_stay_unread() {
    let served = Served::bounded(Bounds { answer_timeout: TIMEOUT * 3, ..Bounds::default() });
    let mut client = served.connect();
    client.set_nonblocking(true).unwrap();
    let request = format!("HEAD /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", served.addr);
    let requests = request.repeat(1000);
    let mut taken = 0;
    while wait_for(&client, PollFlags::POLLOUT, Duration::from_millis(700)) {
        match client.write(&requests.as_bytes()[taken % request.len()..]) {
            Ok(n) => taken += n,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(
            taken < 64 << 20,
            "the server read {taken} bytes of requests although its responses are not read"
        );
    }
    // Reading makes room again, and the server responds to the other requests.
    client.set_nonblocking(false).unwrap();
    let mut reader = BufReader::new(client);
    for _ in 0..taken / request.len() {
        assert_eq!(Reply::read_head(&mut reader).unwrap().0, 200);
    }
}

#[test]
fn stopping_frees_the_port_and_does_not_wait_for_clients() {
    let served = Served::bound(
        &options(),
        Bounds { stop_grace: Duration::from_millis(200), ..Bounds::default() },
        large_report(),
    );
    let mut idle = BufReader::new(served.connect());
    idle.get_mut()
        .write_all(format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", served.addr).as_bytes())
        .unwrap();
    assert_eq!(Reply::read(&mut idle).text(), "ok");
    let mut reading = served.connect();
    reading.write_all(format!("GET /all HTTP/1.1\r\nHost: {}\r\n\r\n", served.addr).as_bytes()).unwrap();
    assert!(wait_for(&reading, PollFlags::POLLIN, TIMEOUT));
    let mut asking = served.connect();
    asking.write_all(b"GET /active HTTP/1.1\r\nHo").unwrap();

    let Served { running, addr, .. } = served;
    let begun = Instant::now();
    running.stop();
    assert!(begun.elapsed() < Duration::from_secs(3), "stopping took {:?}", begun.elapsed());
    assert_eq!(rest(&mut idle), b"");
    let again = Server::bind(&Options { listen: addr, ..options() }).unwrap();
    assert_eq!(again.local_addr(), addr);
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = taken.local_addr().unwrap();
    let error = Server::bind(&Options { listen: addr, ..options() }).unwrap_err();
    assert!(matches!(error, ApiError::InUse { .. }), "{error:?}");
    let text = error.to_string();
    for part in [addr.to_string(), format!("ss -ltnp 'sport = :{}'", addr.port()), "ListenAddress".into()] {
        assert!(text.contains(&part), "{text}");
    }
}

#[test]
fn addresses_that_others_can_reach_are_refused() {
    for listen in ["0.0.0.0:0", "[::]:0", "10.0.0.1:8698", "[fd00::1]:8698", "[::ffff:10.0.0.1]:8698"] {
        let listen: SocketAddr = listen.parse().unwrap();
        let error = Server::bind(&Options { listen, ..options() }).unwrap_err();
        assert!(matches!(error, ApiError::NotLoopback { .. }), "{listen}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(&listen.to_string()) && text.contains("ListenAddress"), "{text}");
    }
}

#[cfg(feature = "dashboard")]
#[test]
fn the_dashboard_is_served_with_its_policy_and_tags() {
    let served = Served::with(Report::default());
    let page = served.get("/dashboard/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().starts_with("<!doctype html>"));
    assert_eq!(page.body, served.get("/dashboard/index.html").body);
    for (file, content_type) in [
        ("main.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("favicon.svg", "image/svg+xml"),
        ("licenses.txt", "text/plain; charset=utf-8"),
    ] {
        let reply = served.get(&format!("/dashboard/{file}"));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)), "{file}");
        assert!(!reply.body.is_empty(), "{file}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("cache-control"), Some("no-cache"), "{file}");

        let etag = reply.header("etag").unwrap();
        let again = served.request(
            "GET",
            &format!("/dashboard/{file}"),
            &format!("If-None-Match: W/\"x\", {etag}\r\n"),
        );
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(etag)), "{file}");
        let other = served.request("GET", &format!("/dashboard/{file}"), "If-None-Match: \"other\"\r\n");
        assert_eq!(other.status, 200, "{file}");
    }
    assert_eq!(served.get("/dashboard/nothing.js").status, 404);
}

#[cfg(not(feature = "dashboard"))]
#[test]
fn without_the_dashboard_its_path_explains_that() {
    let served = Served::with(Report::default());
    let reply = served.get("/dashboard/");
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("built without its dashboard"), "{}", reply.text());
}

/// A running server on a port of its own.
struct Served {
    running: RunningServer,
    report: Arc<Published<Report>>,
    addr: SocketAddr,
}

impl Served {
    fn with(report: Report) -> Self {
        Self::bound(&options(), Bounds::default(), report)
    }

    fn bounded(bounds: Bounds) -> Self {
        Self::bound(&options(), bounds, Report::default())
    }

    fn bound(options: &Options, bounds: Bounds, report: Report) -> Self {
        let report = Arc::new(Published::new(report));
        let server = Server::bind(options).unwrap().bounded_by(bounds);
        let addr = server.local_addr();
        Self { running: server.start(Arc::clone(&report)).unwrap(), report, addr }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.addr).unwrap();
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        client.set_write_timeout(Some(TIMEOUT)).unwrap();
        client
    }

    fn get(&self, path: &str) -> Reply {
        self.request("GET", path, "")
    }

    fn request(&self, method: &str, path: &str, headers: &str) -> Reply {
        let host = self.addr;
        self.exchange(
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n")
                .as_bytes(),
        )
    }

    /// Returns the length of a response from its headers, without reading its body.
    fn head_length(&self, path: &str) -> usize {
        let mut client = self.connect();
        write!(client, "HEAD {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.addr).unwrap();
        let (_, headers) = Reply::read_head(&mut BufReader::new(client)).unwrap();
        headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse().unwrap()
    }

    fn exchange(&self, request: &[u8]) -> Reply {
        let mut client = self.connect();
        client.write_all(request).unwrap();
        Reply::read(&mut BufReader::new(client))
    }

    /// Sends as much as the server reads; it may stop reading before the end of the request.
    fn exchange_as_far_as_read(&self, request: &[u8]) -> Reply {
        let mut client = self.connect();
        let _ = client.write_all(request);
        Reply::read(&mut BufReader::new(client))
    }
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn read(from: &mut impl BufRead) -> Self {
        Self::read_if_any(from).expect("an answer")
    }

    /// Reads a response; `None` if the connection ends without one.
    fn read_if_any(from: &mut impl BufRead) -> Option<Self> {
        let (status, headers) = Self::read_head(from)?;
        let mut reply = Reply { status, headers, body: Vec::new() };
        let length: usize = reply.header("content-length").unwrap_or("0").parse().unwrap();
        reply.body.resize(if status == 304 { 0 } else { length }, 0);
        from.read_exact(&mut reply.body).unwrap();
        Some(reply)
    }

    fn read_head(from: &mut impl BufRead) -> Option<(u16, Vec<(String, String)>)> {
        let mut line = || {
            let mut line = String::new();
            let n = from.read_line(&mut line).unwrap_or(0);
            (n > 0).then(|| line.trim_end().to_owned())
        };
        let status_line = line()?;
        let status = status_line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().unwrap();
        let mut headers = Vec::new();
        while let Some(header) = line().filter(|header| !header.is_empty()) {
            let (name, value) = header.split_once(':').unwrap();
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some((status, headers))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// Reads until the connection ends, also by a reset. Panics if the server keeps it open.
fn rest(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    match from.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("still open: {error}"),
        _ => bytes,
    }
}

/// Returns true if the socket reports one of `flags` within `limit`.
fn wait_for(socket: &TcpStream, flags: PollFlags, limit: Duration) -> bool {
    let mut fds = [PollFd::new(socket.as_fd(), flags)];
    poll(&mut fds, PollTimeout::try_from(limit).unwrap()).unwrap();
    fds[0].revents().is_some_and(|seen| seen.intersects(flags))
}

fn options() -> Options {
    Options {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        token: None,
        socket: SocketOption::Off,
        users: Vec::new(),
        capabilities: Capabilities {
            traffic_interval: 170,
            byte_limit: 20_000,
            no_destinations: false,
            contacted_ips_analyze: true,
            number_contacted_ips: 15,
            analyze_ports: false,
            num_contacted_ports: 100,
            port_interval: 600,
            chart_min_bytes: 1,
            excluded_interfaces: vec!["lo".into()],
            further: Vec::new(),
            limits: LimitsInForce::default(),
        },
    }
}

/// An open alert about the traffic of a host.
fn alert(source: [u8; 4]) -> Alert {
    Alert {
        id: "1".into(),
        kind: AlertKind::Traffic,
        source: Some(source.into()),
        opened_at: UnixNanos(1_790_000_000_000_000_000),
        closed_at: None,
        measured: 2,
        limit: 1,
        window: Duration::from_secs(170),
        ip_bytes: 2,
        destinations: Vec::new(),
        ports: Vec::new(),
        loss: KernelCounts::default(),
        scan: None,
        progress: AlertProgress::default(),
    }
}

fn row(addr: &str, ip_bytes: u64, destinations: &[(&str, u64)]) -> HostRow {
    HostRow {
        addr: addr.parse().unwrap(),
        packets: 1,
        ip_bytes,
        contacted_hosts: 0,
        contacted_ports: 0,
        destinations: destinations
            .iter()
            .map(|&(addr, ip_bytes)| PeerBytes { addr: addr.parse().unwrap(), ip_bytes })
            .collect(),
    }
}

/// Returns a report with a host without an alert and without known destinations, one with every alert, and one with an
/// alert that has sent too little for the chart.
fn small_report() -> Report {
    let busiest = row("10.1.1.1", 30_840, &[("10.9.9.9", 30_000), ("10.9.9.8", 840)]);
    let mut report = Report::default();
    report.snapshot.hosts = [row("10.1.1.7", u64::MAX, &[]), busiest.clone()].into_iter().collect();
    report.active = vec![
        ActiveHost {
            kinds: vec![AlertKind::Traffic, AlertKind::Scanning, AlertKind::ScanningPort],
            row: busiest,
        },
        ActiveHost { kinds: vec![AlertKind::Scanning], row: row("fd00::1", 1000, &[("fd00::2", 50)]) },
    ];
    report
}

/// Returns a report whose JSON is longer than the buffers of two loopback sockets.
fn large_report() -> Report {
    let addr = |n: u32| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n));
    let destinations: Vec<_> =
        (0..100).map(|n| PeerBytes { addr: addr(n), ip_bytes: 1_000_000_000 }).collect();
    let mut report = Report::default();
    report.snapshot.hosts = (0..5000)
        .map(|n| HostRow {
            addr: addr(n),
            packets: 1,
            ip_bytes: 100_000_000_000,
            contacted_hosts: 100,
            contacted_ports: 0,
            destinations: destinations.clone(),
        })
        .collect();
    report
}

/// Timeout of what must happen.
const TIMEOUT: Duration = Duration::from_secs(20);
