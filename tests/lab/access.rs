//! Who may read and who may make changes: on loopback, on the Unix socket, and from another host.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::host::Host;
use crate::support::namespaces::{inside, inside_with_users};
use crate::support::program::{Program, Signal, TIMEOUT, TOKEN_LINE, WITH_TOKEN};

const JSON: &str = "Content-Type: application/json\r\n";
const POST: &str = "POST /api/v1/mutes HTTP/1.1\r\n";
const MUTE: &str = r#"{"source":"10.0.0.5","minutes":1}"#;
const EVERYTHING: &str = r#"{"source":"0.0.0.0/0","minutes":1,"all":true}"#;

/// Sends a request and returns the whole answer.
fn exchange(mut stream: impl Read + Write, head: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "{head}{length}Connection: close\r\n\r\n{body}").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

/// The same at the Unix socket.
fn at_socket(path: &Path, head: &str, body: &str) -> String {
    let stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    exchange(stream, &format!("{head}Host: api\r\n"), body)
}

fn status(answer: &str) -> u16 {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    status.unwrap_or_else(|| panic!("no status: {answer:?}"))
}

#[test]
fn without_a_token_changes_need_the_socket_and_the_log_names_their_author() {
    inside(|| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("run/api.sock");
        let config = format!("ApiSocket: {}\n", path.display());
        let program = Program::start(&Host::router(), &config);
        let (refused, problem) = program.request(&format!("{POST}{JSON}"), MUTE);
        assert_eq!(refused, 403, "{problem}");
        for part in ["TrafficAlerted token --file", "ApiTokenFile", &path.display().to_string()] {
            assert!(problem.contains(part), "{problem}");
        }
        assert_eq!(program.request("DELETE /api/v1/mutes/1 HTTP/1.1\r\n", "").0, 403);
        assert_eq!(status(&at_socket(&path, "GET /all HTTP/1.1\r\n", "")), 200);
        assert_eq!(status(&at_socket(&path, &format!("{POST}{JSON}"), MUTE)), 201);
        program.wait_for_log("mute 1 holds back all alerts about 10.0.0.5/32 until ");
        assert_eq!(status(&at_socket(&path, &format!("{POST}{JSON}"), EVERYTHING)), 201);
        program.wait_for_log("mute 2 holds back all alerts about all of 0.0.0.0/0 until ");
        assert_eq!(status(&at_socket(&path, "DELETE /api/v1/mutes/1 HTTP/1.1\r\n", "")), 204);
        program.wait_for_log("mute 1 is taken back by uid 0 at the socket");
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
        assert!(!path.exists(), "the socket is removed");
    });
}

#[test]
fn a_mute_of_everything_is_a_warning_at_each_start() {
    inside(|| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let config = format!("{TOKEN_LINE}StateFile: {}/state.json\n", folder.path().display());
        let router = Host::router();
        let program = Program::start(&router, &config);
        assert_eq!(program.request(&format!("{POST}{WITH_TOKEN}{JSON}"), EVERYTHING).0, 201);
        program.wait_for_log("mute 1 holds back all alerts about all of 0.0.0.0/0 until ");
        program.wait_for_log("; made by uid 0 at 127.0.0.1, with the token");
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
        let program = Program::start(&router, &config);
        program.wait_for_log("mute 1 of before the start holds back alerts about all of 0.0.0.0/0 until ");
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

#[test]
fn another_host_needs_the_token_for_all_but_health_and_page() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        far.ip("addr add 10.0.0.2/24 dev far0");
        router.ip("addr add 10.0.0.1/24 dev near0");
        let program = Program::start(&router, &format!("{TOKEN_LINE}ListenAddress: 0.0.0.0:8698\n"));
        let server = SocketAddr::from(([10, 0, 0, 1], 8698));
        let ask = |head: &str, headers: &str, body: &str| {
            far.on(|| {
                let stream = TcpStream::connect(server).expect("it listens");
                stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
                let answer =
                    exchange(stream, &format!("{head} HTTP/1.1\r\nHost: {server}\r\n{headers}"), body);
                (status(&answer), answer)
            })
        };
        for path in ["/all", "/active", "/capabilities", "/api/v1/alerts", "/api/v1/mutes", "/none"] {
            let (refused, answer) = ask(&format!("GET {path}"), "", "");
            assert_eq!(refused, 401, "{path}: {answer}");
            assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
        }
        assert_eq!(ask("GET /healthz", "", "").0, 200);
        assert_eq!(ask("GET /", "", "").0, 307);
        assert_eq!(ask("GET /all", WITH_TOKEN, "").0, 200);
        assert_eq!(ask("GET /none", WITH_TOKEN, "").0, 404);
        assert_eq!(ask("POST /api/v1/mutes", JSON, MUTE).0, 401);
        assert_eq!(ask("POST /api/v1/mutes", &format!("{JSON}{WITH_TOKEN}"), MUTE).0, 201);
        program.wait_for_log("; made by 10.0.0.2, with the token");
        assert_eq!(program.request("GET /all HTTP/1.1\r\n", "").0, 200, "loopback reads without it");

        // The page signs in once.
        let token = TOKEN_LINE.trim_end().strip_prefix("ApiToken: ").expect("it begins so");
        let sign_in = |token: &str| ask("POST /api/v1/session", JSON, &format!(r#"{{"token":"{token}"}}"#));
        let (opened, answer) = sign_in(token);
        assert_eq!(opened, 204, "{answer}");
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
        let with_cookie = format!("Cookie: {}\r\n", cookie.split(';').next().expect("its value"));
        assert_eq!(ask("GET /all", &with_cookie, "").0, 200);
        assert_eq!(ask("DELETE /api/v1/mutes/1", &with_cookie, "").0, 204);
        program.wait_for_log("mute 1 is taken back by 10.0.0.2, in session 1");
        let foreign = format!("{with_cookie}{JSON}Origin: http://evil.example\r\n");
        assert_eq!(ask("POST /api/v1/mutes", &foreign, MUTE).0, 403);
        assert_eq!(ask("DELETE /api/v1/session", &with_cookie, "").0, 204);
        assert_eq!(ask("GET /all", &with_cookie, "").0, 401);

        // Wrong tokens are slowed down, and nobody else is.
        let wrong = "Authorization: Bearer lab-token-wrong\r\n";
        let statuses: Vec<u16> = (0..6).map(|_| ask("GET /all", wrong, "").0).collect();
        assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
        let (paused, answer) = ask("GET /all", WITH_TOKEN, "");
        assert!(paused == 429 && answer.contains("retry-after: "), "{answer}");
        assert_eq!(sign_in(token).0, 429);
        assert_eq!(program.request(&format!("{POST}{WITH_TOKEN}{JSON}"), MUTE).0, 201);

        // A new token ends what the old one opened, at once.
        program.reload("ApiToken: another-token-0123456789-abcdefgh\nListenAddress: 0.0.0.0:8698\n");
        assert_eq!(program.request(&format!("{POST}{WITH_TOKEN}{JSON}"), MUTE).0, 401);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0));
        let log: Vec<&str> = ended.lines.iter().map(|line| line.text.as_str()).collect();
        assert!(log.iter().any(|line| line.contains("10.0.0.2 has sent a wrong API token")), "{log:#?}");
        for secret in ["lab-token", "another-token", cookie.split([';', '=']).nth(1).expect("its value")] {
            assert!(!log.iter().any(|line| line.contains(secret)), "{secret} in {log:#?}");
        }
    });
}

#[test]
fn a_user_who_holds_all_connections_does_not_hide_the_health() {
    inside(|| {
        let router = Host::router();
        let program = Program::start(&router, "");
        router.on(|| {
            let connect = || TcpStream::connect(("127.0.0.1", 8698)).expect("it listens");
            let held: Vec<TcpStream> = (0..200).map(|_| connect()).collect();
            for _ in 0..20 {
                let begun = Instant::now();
                let answer = exchange(connect(), "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", "");
                assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
                // It takes a millisecond; the machine may be busy.
                assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
            }
            assert_eq!(status(&exchange(connect(), "GET /all HTTP/1.1\r\nHost: localhost\r\n", "")), 503);
            drop(held);
        });
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

/// A page in a browser on this host can make it send requests, and owns the name by which it calls this server.
#[test]
fn a_web_page_on_this_host_changes_nothing() {
    inside(|| {
        let router = Host::router();
        let program = Program::start(&router, TOKEN_LINE);
        let token = TOKEN_LINE.trim_end().strip_prefix("ApiToken: ").expect("it begins so");
        let ask = |line: &str, host: &str, headers: &str, body: &str| {
            router.on(|| {
                let stream = TcpStream::connect(("127.0.0.1", 8698)).expect("it listens");
                stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
                status(&exchange(stream, &format!("{line} HTTP/1.1\r\nHost: {host}\r\n{headers}"), body))
            })
        };
        let local = "localhost:8698";
        let sign_in = format!(r#"{{"token":"{token}"}}"#);
        let (_, answer) = program.request(&format!("POST /api/v1/session HTTP/1.1\r\n{JSON}"), "{}");
        assert!(answer.contains("token"), "{answer}");
        for headers in [
            "Origin: http://evil.example\r\n",
            "Origin: null\r\n",
            "Origin: http://localhost:3000\r\n",
            "Origin: http://127.0.0.1:8698\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\n",
        ] {
            let all = format!("{headers}{JSON}{WITH_TOKEN}");
            assert_eq!(ask("POST /api/v1/mutes", local, &all, MUTE), 403, "{headers}");
            assert_eq!(ask("POST /api/v1/session", local, &all, &sign_in), 403, "{headers}");
            assert_eq!(ask("DELETE /api/v1/session", local, headers, ""), 403, "{headers}");
        }
        for host in
            ["evil.example:8698", "localhost.evil.example", "127.0.0.1.evil.example:8698", "2130706433"]
        {
            let all = format!("Origin: http://{host}\r\n{JSON}{WITH_TOKEN}");
            assert_eq!(ask("POST /api/v1/mutes", host, &all, MUTE), 421, "{host}");
            assert_eq!(ask("GET /all", host, WITH_TOKEN, ""), 421, "{host}");
        }
        // What a form can send, and what no program means.
        let two = format!("{JSON}Content-Type: text/plain\r\n");
        for kind in [
            "Content-Type: text/plain\r\n",
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "Content-Type: multipart/form-data; boundary=x\r\n",
            "",
            &two,
        ] {
            assert_eq!(
                ask("POST /api/v1/mutes", local, &format!("{kind}{WITH_TOKEN}"), MUTE),
                415,
                "{kind:?}"
            );
        }
        // A token in an address ends up in histories and logs, so it is taken from no address.
        assert_eq!(ask(&format!("POST /api/v1/mutes?token={token}"), local, JSON, MUTE), 400);
        assert_eq!(ask(&format!("DELETE /api/v1/mutes/1?token={token}"), local, "", ""), 400);
        for method in ["PUT", "PATCH", "TRACE", "OPTIONS", "BREW"] {
            assert_eq!(ask(&format!("{method} /api/v1/mutes"), local, WITH_TOKEN, ""), 405, "{method}");
        }
        assert_eq!(program.get("/api/v1/mutes"), "[]");
        let ended = program.stop(Signal::SIGTERM);
        assert!(ended.code == Some(0) && !ended.text().contains(token), "{}", ended.text());
    });
}

#[test]
fn another_user_at_the_socket_reads_and_changes_with_the_token_alone() {
    inside_with_users(|| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        let path = folder.path().join("run/api.sock");
        let config = format!("{TOKEN_LINE}ApiSocket: {}\n", path.display());
        let program = Program::start(&Host::router(), &config);
        let ask = |line: &str, headers: &str, body: &str| {
            let length =
                if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            let request =
                format!("{line} HTTP/1.1\r\nHost: api\r\n{headers}{length}Connection: close\r\n\r\n{body}");
            let output = Command::new("perl")
                .args(["-MIO::Socket::UNIX", "-e", AT_SOCKET])
                .args([path.as_os_str(), request.as_ref()])
                .uid(OTHER_USER)
                .gid(OTHER_USER)
                .output()
                .expect("perl is installed");
            let answer = String::from_utf8_lossy(&output.stdout).into_owned();
            (status(&answer), answer)
        };
        assert_eq!(ask("GET /all", "", "").0, 200);
        let (refused, answer) = ask("POST /api/v1/mutes", JSON, MUTE);
        assert!(refused == 403 && answer.contains("uid 4321 may read, but not make changes"), "{answer}");
        // Whoever has root's right at the socket by a header of his own has none.
        assert_eq!(ask("POST /api/v1/mutes", &format!("{JSON}X-Forwarded-User: root\r\n"), MUTE).0, 401);
        assert_eq!(ask("POST /api/v1/mutes", &format!("{JSON}{WITH_TOKEN}"), MUTE).0, 201);
        program.wait_for_log("; made by uid 4321 at the socket, with the token");
        // His wrong tokens slow down him alone.
        let wrong = format!("{JSON}Authorization: Bearer wrong\r\n");
        let statuses = [(); 4].map(|()| ask("POST /api/v1/mutes", &wrong, MUTE).0);
        assert_eq!(statuses, [401, 401, 401, 429]);
        assert_eq!(program.request(&format!("{POST}{WITH_TOKEN}{JSON}"), MUTE).0, 201);
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

/// A user that the machine does not have.
const OTHER_USER: u32 = 4321;

/// Sends its second argument to the socket of its first one, and prints what comes.
const AT_SOCKET: &str = "my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!; print $s $ARGV[1]; $s->flush; \
                         while (<$s>) { print }";
