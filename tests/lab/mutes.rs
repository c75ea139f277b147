//! A host that is muted over HTTP is shown and has no notices. Requests to mute are accepted from programs and refused
//! from other web pages.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::support::host::Host;
use crate::support::injector::frame_from;
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal, TOKEN_LINE, WITH_TOKEN};

const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 6);
const JSON: &str = "Content-Type: application/json\r\n";

fn post(program: &Program, headers: &str, body: &str) -> (u16, Value) {
    let (status, body) =
        program.request(&format!("POST /api/v1/mutes HTTP/1.1\r\n{WITH_TOKEN}{headers}"), body);
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body:?}")))
}

fn mutes(program: &Program) -> Value {
    program.get_json("/api/v1/mutes")
}

#[test]
fn a_muted_alert_is_shown_and_logged_when_its_mute_is_deleted() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let injector = far.injector("far0");
        let mut program = Program::start(&router, &format!("{EVERY_HOST}{TOKEN_LINE}ByteLimit: 5K\n"));
        assert_eq!(mutes(&program), json!([]));

        let wanted = r#"{"source":"10.0.0.0/24","kind":"TRAFFIC","minutes":60,"reason":"the backup \u2713"}"#;
        let (status, mute) = post(&program, JSON, wanted);
        assert_eq!(status, 201, "{mute}");
        for (field, value) in [
            ("id", json!(1)),
            ("source", json!("10.0.0.0/24")),
            ("kind", json!("TRAFFIC")),
            ("reason", json!("the backup \u{2713}")),
        ] {
            assert_eq!(mute[field], value, "{mute}");
        }
        assert_eq!(mutes(&program), json!([mute]), "what was answered is listed");

        (0..6).for_each(|_| injector.send(&frame_from(HEAVY)));
        program.wait_for("the alert is open", Program::active, |active| active.len() == 1);
        let alerts: Value = program.get_json("/api/v1/alerts");
        assert_eq!(
            (&alerts[0]["source"], &alerts[0]["muted"]),
            (&json!("10.0.0.5"), &json!(true)),
            "{alerts}"
        );
        // A host of another network has a notice, which follows the judgement of the muted hosts.
        (0..6).for_each(|_| injector.send(&frame_from(OTHER)));
        program.alert("TRAFFIC", OTHER);
        assert!(!program.log_text().contains("SRC=10.0.0.5"), "{}", program.log_text());

        let delete = format!("DELETE /api/v1/mutes/1 HTTP/1.1\r\n{WITH_TOKEN}");
        assert_eq!(program.request(&delete, ""), (204, String::new()));
        program.alert("TRAFFIC", HEAVY);
        assert_eq!(mutes(&program), json!([]));
        assert_eq!(program.request(&delete, "").0, 404);
        assert_eq!(program.stop(Signal::SIGTERM).alerts().len(), 2);
    });
}

#[test]
fn a_bad_mute_or_one_from_another_web_page_changes_nothing() {
    inside(|| {
        let program = Program::start(&Host::router(), TOKEN_LINE);
        let good = r#"{"source":"10.0.0.5","minutes":1}"#;
        let long = format!(r#"{{"source":"10.0.0.5","minutes":1,"reason":"{}"}}"#, "x".repeat(201));
        let huge = format!(r#"{{"source":"10.0.0.5","minutes":1,"reason":"{}"}}"#, "x".repeat(5000));
        let with = |header: &str| format!("{JSON}{header}\r\n");
        let cases = [
            (String::new(), good, 415, "Content-Type"),
            ("Content-Type: text/plain\r\n".to_owned(), good, 415, "application/json"),
            (with("Origin: http://evil.example"), good, 403, "other web pages"),
            (with("Origin: null"), good, 403, "other web pages"),
            (with("Origin: http://localhost:1"), good, 403, "other web pages"),
            (with("Sec-Fetch-Site: cross-site"), good, 403, "other web pages"),
            (with("Sec-Fetch-Site: same-site"), good, 403, "other web pages"),
            (JSON.to_owned(), "", 400, "not such an object"),
            (JSON.to_owned(), "[]", 400, "expected struct Wanted with 5 elements"),
            (JSON.to_owned(), r#"{"source":"10.0.0.5"}"#, 400, "minutes"),
            (JSON.to_owned(), r#"{"source":"10.0.0.5","minutes":1,"more":1}"#, 400, "more"),
            (JSON.to_owned(), r#"{"source":"10.0.0.5","minutes":0}"#, 400, "from 1 to 43200"),
            (JSON.to_owned(), r#"{"source":"10.0.0.5","minutes":43201}"#, 400, "from 1 to 43200"),
            (JSON.to_owned(), r#"{"source":"10.0.0.5/24","minutes":1}"#, 400, "10.0.0.0/24"),
            (JSON.to_owned(), r#"{"source":"::ffff:10.0.0.5","minutes":1}"#, 400, "write 10.0.0.5"),
            (JSON.to_owned(), r#"{"source":"224.0.0.0/8","minutes":1}"#, 400, "no host has"),
            (JSON.to_owned(), r#"{"source":"ff02::1","minutes":1}"#, 400, "no host has"),
            (JSON.to_owned(), r#"{"source":"255.255.255.255","minutes":1}"#, 400, "no host has"),
            (JSON.to_owned(), r#"{"source":"10.0.0.0/7","minutes":1}"#, 400, "\"all\": true"),
            (JSON.to_owned(), r#"{"source":"0.0.0.0/0","minutes":1,"all":false}"#, 400, "\"all\": true"),
            (JSON.to_owned(), r#"{"source":"2000::/3","minutes":1}"#, 400, "a /32"),
            (JSON.to_owned(), r#"{"source":"router","minutes":1}"#, 400, "an address or a network"),
            (JSON.to_owned(), r#"{"source":"10.0.0.5","minutes":1,"kind":"LOSS"}"#, 400, "kind"),
            (JSON.to_owned(), r#"{"source":"10.0.0.5","minutes":1,"reason":"a\nb"}"#, 400, "reason"),
            (JSON.to_owned(), &long, 400, "200 characters"),
            (JSON.to_owned(), &huge, 413, "4096 bytes"),
        ];
        for (headers, body, status, detail) in &cases {
            let (answered, problem) = post(&program, headers, body);
            assert_eq!(answered, *status, "{headers:?} {body}: {problem}");
            assert_eq!(problem["status"], json!(status));
            assert!(problem["detail"].as_str().is_some_and(|text| text.contains(detail)), "{problem}");
        }
        for (head, status) in [
            ("PUT /api/v1/mutes HTTP/1.1\r\n", 405),
            ("OPTIONS /api/v1/mutes HTTP/1.1\r\n", 405),
            ("GET /api/v1/mutes/1 HTTP/1.1\r\n", 405),
            ("GET /api/v1/mutes/x HTTP/1.1\r\n", 404),
            ("DELETE /api/v1/mutes/1 HTTP/1.1\r\nOrigin: http://evil.example\r\n", 403),
            ("DELETE /api/v1/mutes/99999999999999999999 HTTP/1.1\r\n", 404),
            ("GET /api/v1/mutesx HTTP/1.1\r\n", 404),
        ] {
            assert_eq!(program.request(&format!("{head}{WITH_TOKEN}"), "").0, status, "{head:?}");
        }
        assert_eq!(mutes(&program), json!([]));

        for _ in 0..1000 {
            assert_eq!(post(&program, JSON, good).0, 201);
        }
        assert_eq!(post(&program, JSON, good).0, 409);
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}
