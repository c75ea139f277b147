//! `TrafficAlerted test-alert`, on the real binary and with a real receiver behind each kind of sink.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

/// Timeout, longer than any step takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A folder with a configuration.
struct Place(TempDir);

/// Outputs and exit code of the program.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for the test"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("it has a plain name").to_owned()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        path
    }

    /// Runs the command as the user of this test, to whom the folder belongs; as root it would become another user,
    /// which the lab tests.
    fn test_alert(&self, config: &str) -> Answer {
        fs::write(self.path("my.conf"), stays_this_user(config)).expect("it is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"));
        command.args(["test-alert", "my.conf"]).current_dir(&self.0).stdin(Stdio::null());
        for proxy in ["JOURNAL_STREAM", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"]
        {
            command.env_remove(proxy);
        }
        command.env("SSL_CERT_FILE", self.path("authority.pem")).env_remove("SSL_CERT_DIR");
        let output = command.output().expect("the binary starts");
        let text = |bytes| String::from_utf8(bytes).expect("messages are UTF-8");
        // Root is told that it stays root.
        let is_said = |line: &&str| !line.contains("User is root");
        let stderr =
            text(output.stderr).lines().filter(is_said).fold(String::new(), |all, line| all + line + "\n");
        Answer { code: output.status.code(), stdout: text(output.stdout), stderr }
    }
}

impl Answer {
    /// The line about a sink.
    fn of(&self, sink: &str) -> &str {
        let start = format!("{sink}: ");
        let line = self.stdout.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("nothing about {sink} in {self:?}"))
    }
}

/// Returns the configuration by which the program stays the user that it is, also if that is root.
fn stays_this_user(config: &str) -> String {
    if nix::unistd::geteuid().is_root() { format!("{config}User: root\n") } else { config.to_owned() }
}

/// What a receiver gets.
struct Receiver(JoinHandle<String>);

impl Receiver {
    fn text(self) -> String {
        self.0.join().expect("the receiver got something")
    }
}

/// Answers one HTTP request with 200, and returns the request.
fn answer(mut stream: impl Read + Write) -> String {
    let mut reader = BufReader::new(&mut stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut request).expect("a request") > 0, "{request}");
    }
    let lower = request.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).expect("a length")];
    reader.read_exact(&mut body).expect("a body");
    request.push_str(&String::from_utf8(body).expect("text"));
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("the other end waits");
    request
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("it listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    stream
}

fn http() -> (Receiver, u16) {
    let (listener, port) = listen();
    (Receiver(thread::spawn(move || answer(accept(&listener)))), port)
}

/// Starts a server for 127.0.0.1 with a certificate of the authority in `authority.pem`, or of an unknown authority.
fn https(place: &Place, is_known: bool) -> (Receiver, u16) {
    let key = || KeyPair::generate().expect("random numbers");
    let mut authority = CertificateParams::new(Vec::new()).expect("no name is a good name");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (known, other) = (key(), key());
    let certificate = authority.self_signed(&known).expect("it signs itself");
    fs::write(place.path("authority.pem"), certificate.pem()).expect("it is ours");
    let issuer = Issuer::new(authority, if is_known { known } else { other });
    let server = key();
    let names = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address is a name");
    let certificate = names.signed_by(&server, &issuer).expect("the authority signs");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them all")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(server.serialize_der()).expect("a key"),
        )
        .expect("they belong together");
    let (listener, port) = listen();
    let serve = move || {
        let connection = ServerConnection::new(Arc::new(config)).expect("a configuration");
        let mut stream = StreamOwned::new(connection, accept(&listener));
        match stream.conn.complete_io(&mut stream.sock) {
            Ok(_) => answer(stream),
            Err(error) => error.to_string(),
        }
    };
    (Receiver(thread::spawn(serve)), port)
}

#[test]
fn without_any_sink_the_log_has_the_sample() {
    let place = Place::new();
    let answer = place.test_alert("");
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(answer.stdout.lines().count(), 1, "{answer:?}");
    assert!(answer.of("log").starts_with("delivered in "), "{answer:?}");
    let line = answer.stderr.split_once(" TEST=").expect("a line of the log").1;
    let (line, why) = line.split_once('\n').expect("a second line of the log");
    assert_eq!(line, "TRAFFIC SRC=192.0.2.1 TOTALBYTES=1200000000 | DSTINFO=[{198.51.100.1 1200000000}]");
    let sentence = "TEST, nothing happened: 192.0.2.1 sent 1.2 GB in 170 s, the limit is 1 GB";
    assert!(why.ends_with(&format!(" WHY=TRAFFIC SRC=192.0.2.1 | {sentence}\n")), "{answer:?}");
}

#[test]
fn a_log_for_programs_is_json_to_its_last_line() {
    let place = Place::new();
    let config = format!("LogFormat: json\nAlertFile: {}\n", place.path("none/alerts.jsonl"));
    let answer = place.test_alert(&config);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let lines: Vec<Value> =
        answer.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [alert, error] = lines.as_slice() else { panic!("{answer:?}") };
    assert_eq!((&alert["state"], &error["level"]), (&"test".into(), &"error".into()));
    assert_eq!(error["message"], "the sample did not arrive at 1 of 2 places");
}

#[test]
fn a_file_a_program_and_a_webhook_get_the_same_sample() {
    let place = Place::new();
    let script = place.script("program", "cat > \"$1\"; echo \"$TA_SOURCE $TA_STATE\" >> \"$1\"");
    let (receiver, port) = http();
    fs::write(place.path("token"), "t0ken\n").expect("it is ours");
    let answer = place.test_alert(&format!(
        "ReverseDNS: true\nAlertFile: {}\nAlertCommand: {script} \"{}\"\nWebhookURL: http://127.0.0.1:{port}/hook\nWebhookTokenFile: {}\n",
        place.path("alerts.jsonl"),
        place.path("a b"),
        place.path("token"),
    ));
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(answer.stdout.matches(": delivered in ").count(), 4, "{answer:?}");
    let line = place.read("alerts.jsonl");
    let alert: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!((&alert["state"], &alert["kind"]), (&"test".into(), &"TRAFFIC".into()));
    assert_eq!(place.read("a b"), format!("{line}192.0.2.1 test\n"));
    let request = receiver.text();
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("\r\nauthorization: bearer t0ken\r\n"), "{request}");
    assert!(request.ends_with(&format!("\r\n\r\n{}", line.trim_end())), "{request}");
}

#[test]
fn country_and_autonomous_system_are_sent_along_except_to_the_log() {
    let place = Place::new();
    let country = crate::geoip::database(&crate::geoip::country("NL"));
    fs::write(place.path("country.mmdb"), &country).expect("it is ours");
    fs::write(place.path("asn.mmdb"), crate::geoip::database(&crate::geoip::asn(64_500, "Example")))
        .expect("it is ours");
    let script = place.script("program", "echo \"$TA_SOURCE_COUNTRY $TA_SOURCE_ASN $TA_TEXT\" > \"$1\"");
    let run = || {
        // Each run appends.
        let _ = fs::remove_file(place.path("alerts.jsonl"));
        let answer = place.test_alert(&format!(
            "LogFormat: json\nAlertFile: {}\nAlertCommand: {script} {}\nCountryDatabase: {}\nAsnDatabase: {}\n",
            place.path("alerts.jsonl"),
            place.path("said"),
            place.path("country.mmdb"),
            place.path("asn.mmdb"),
        ));
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let alert: Value = serde_json::from_str(&place.read("alerts.jsonl")).expect("one line of JSON");
        (answer.stderr, alert, place.read("said"))
    };
    let (log, alert, command_output) = run();
    assert_eq!(alert["source_country"], "NL", "{alert}");
    assert_eq!(alert["source_asn"], 64_500, "{alert}");
    assert_eq!(alert["source_as_organization"], "Example", "{alert}");
    let sentence = |who: &str| {
        format!("TEST, nothing happened: 192.0.2.1{who} sent 1.2 GB in 170 s, the limit is 1 GB\n")
    };
    assert_eq!(command_output, format!("NL 64500 {}", sentence(" (NL, AS64500)")));
    assert!(log.lines().count() == 1 && !log.contains("source_"), "{log}");

    // A truncated file, and a missing one.
    fs::write(place.path("country.mmdb"), &country[..country.len() / 2]).expect("it is ours");
    fs::remove_file(place.path("asn.mmdb")).expect("it is ours");
    let (log, alert, command_output) = run();
    let fields = alert.as_object().expect("an object");
    assert!(!fields.keys().any(|key| key.starts_with("source_")), "{alert}");
    assert_eq!(command_output, format!("  {}", sentence("")));
    let warnings: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|line: &Value| line["level"] == "warning")
        .collect();
    let [country, asn] = warnings.as_slice() else { panic!("{log}") };
    for (warning, key, remedy) in
        [(country, "CountryDatabase", "download it again"), (asn, "AsnDatabase", "put it there")]
    {
        let message = warning["message"].as_str().expect("text");
        assert!(message.starts_with(&format!("{key}: cannot use /")), "{message}");
        assert!(message.contains(remedy) && message.ends_with("; alerts go without it"), "{message}");
    }
}

#[test]
fn each_format_is_posted() {
    let place = Place::new();
    for (format, want) in [
        ("slack", r#"{"text":""#),
        ("discord", r#""allowed_mentions":{"parse":[]}"#),
        ("mattermost", r#""username":"TrafficAlerted""#),
        ("ntfy", "TEST, nothing happened: 192.0.2.1 sent"),
        ("alertmanager", r#""labels":{"alertname":"TEST""#),
    ] {
        let (receiver, port) = http();
        let config = format!("WebhookURL: http://localhost:{port}/\nWebhookFormat: {format}\n");
        let answer = place.test_alert(&config);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let request = receiver.text();
        assert!(request.contains(want), "{want} in {request}");
    }
}

#[test]
fn a_secure_webhook_must_be_signed_by_a_known_authority() {
    let place = Place::new();
    let (receiver, port) = https(&place, true);
    let config = format!("WebhookURL: https://127.0.0.1:{port}/hook\n");
    let answer = place.test_alert(&config);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(receiver.text().starts_with("POST /hook HTTP/1.1\r\n"));

    let (_receiver, port) = https(&place, false);
    let answer = place.test_alert(&format!("WebhookURL: https://127.0.0.1:{port}/hook\n"));
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.of("WebhookURL").contains("an authority that this system trusts"), "{answer:?}");

    fs::write(place.path("authority.pem"), "").expect("it is ours");
    let answer = place.test_alert(&config);
    assert!(answer.of("WebhookURL").ends_with("install ca-certificates"), "{answer:?}");
}

#[test]
fn each_kind_of_collector_gets_a_message() {
    let place = Place::new();
    let end = "TEST=TRAFFIC SRC=192.0.2.1 TOTALBYTES=1200000000 | DSTINFO=[{198.51.100.1 1200000000}]";
    let why = "WHY=TRAFFIC SRC=192.0.2.1 | TEST, nothing happened: 192.0.2.1 sent 1.2 GB in 170 s, the limit is 1 GB";
    let datagram = |receive: &dyn Fn(&mut [u8]) -> std::io::Result<usize>| {
        let mut bytes = [0; 4096];
        let length = receive(&mut bytes).expect("it came");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    };

    let udp = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    udp.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    let port = udp.local_addr().expect("it is bound").port();
    let answer = place.test_alert(&format!("Syslog: udp://127.0.0.1:{port}\nSyslogFacility: local0\n"));
    assert!(answer.of("Syslog").ends_with("(sent; nothing tells whether a datagram arrives)"), "{answer:?}");
    let text = datagram(&|bytes| udp.recv(bytes));
    assert!(text.starts_with("<134>1 2") && text.ends_with(end), "{text}");
    assert!(text.contains(" TRAFFIC [alert@32473 id=\"test-"), "{text}");
    let text = datagram(&|bytes| udp.recv(bytes));
    assert!(text.starts_with("<134>1 2") && text.ends_with(why), "{text}");

    let (tcp, port) = listen();
    let answer = place.test_alert(&format!("Syslog: tcp://127.0.0.1:{port}\n"));
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let mut text = String::new();
    accept(&tcp).read_to_string(&mut text).expect("it came and ended");
    let mut rest = text.as_str();
    for end in [end, why] {
        let (length, after) = rest.split_once(' ').expect("a length");
        let (message, after) = after.split_at(length.parse().expect("a number"));
        assert!(message.starts_with("<30>1 2") && message.ends_with(end), "{text}");
        rest = after;
    }
    assert_eq!(rest, "", "{text}");

    let unix = UnixDatagram::bind(place.path("log")).expect("it is ours");
    unix.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    let answer = place.test_alert(&format!("Syslog: unix:{}\n", place.path("log")));
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let text = datagram(&|bytes| unix.recv(bytes));
    assert!(text.starts_with("<30>") && text.ends_with(&format!("]: {end}")), "{text}");
    let text = datagram(&|bytes| unix.recv(bytes));
    assert!(text.starts_with("<30>") && text.ends_with(&format!("]: {why}")), "{text}");

    let answer = place.test_alert(&format!("Syslog: unix:{}\n", place.path("none")));
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.of("Syslog").contains("no daemon has made this socket"), "{answer:?}");
}

#[test]
fn a_failed_delivery_is_explained_and_does_not_delay_the_others() {
    let place = Place::new();
    // Accepts and never answers.
    let (silent, port) = listen();
    let script = place.script("program", "exit 7");
    let began = Instant::now();
    let answer = place.test_alert(&format!(
        "AlertFile: {}\nAlertCommand: {script}\nWebhookURL: http://127.0.0.1:{port}/\n",
        place.path("none/alerts.jsonl"),
    ));
    drop(silent);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.of("log").starts_with("delivered in "), "{answer:?}");
    assert!(answer.of("AlertFile").contains("make its folder"), "{answer:?}");
    assert!(answer.of("AlertCommand").ends_with("exited with 7"), "{answer:?}");
    assert!(answer.of("WebhookURL").contains("127.0.0.1 did not answer in time"), "{answer:?}");
    assert!(answer.stderr.ends_with("error: the sample did not arrive at 3 of 4 places\n"), "{answer:?}");
    assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
}

#[test]
fn a_program_that_hangs_is_ended_with_its_children() {
    let place = Place::new();
    let script = place.script("program", "sleep 3600 & echo $! > \"$1\"; wait");
    let config = format!("AlertCommand: {script} {}\nAlertCommandTimeout: 3\n", place.path("id"));
    let answer = place.test_alert(&config);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.of("AlertCommand").contains("was ended after 3 second"), "{answer:?}");
    let id = place.read("id");
    let is_asleep = || {
        let line = fs::read_to_string(format!("/proc/{}/stat", id.trim()));
        line.is_ok_and(|stat| stat.contains("(sleep)") && !stat.contains(") Z "))
    };
    let deadline = Instant::now() + TIMEOUT;
    while is_asleep() {
        assert!(Instant::now() < deadline, "{id} is still there");
        thread::yield_now();
    }
}

#[test]
fn a_bad_configuration_is_exit_code_2() {
    let place = Place::new();
    let file = place.path("alerts.jsonl");
    let answer = place.test_alert(&format!("AlertFile: {file}\nWebhookURL: hooks.example\n"));
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{answer:?}");
    assert!(answer.stderr.contains("neither http:// nor https://"), "{answer:?}");
    assert!(!Path::new(&file).exists());
}

/// A write beyond RLIMIT_FSIZE raises SIGXFSZ, whose default action ends a process.
#[test]
fn a_limit_on_the_size_of_files_is_said_like_a_full_disk() {
    let place = Place::new();
    let config = format!("AlertFile: {}\n", place.path("alerts.jsonl"));
    fs::write(place.path("it.conf"), stays_this_user(&config)).expect("it is ours");
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_TrafficAlerted"), "test-alert"]);
    let output = shell.arg(place.path("it.conf")).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text.contains("AlertFile: failed: cannot write") && text.contains("File too large"),
        "{output:?}"
    );
}
