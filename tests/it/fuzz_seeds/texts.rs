//! Seeds of texts that this program reads itself: stored rows, and configurations before and after a reload.

use super::{Seeds, compare_or_update};

fn compare(target: &str, seeds: &[(&str, String)]) {
    let seeds: Seeds =
        seeds.iter().map(|(name, text)| ((*name).to_owned(), text.clone().into_bytes())).collect();
    compare_or_update(target, &seeds);
}

/// Returns the text without its line ends and the spaces after them.
fn packed(text: &str) -> String {
    text.lines().map(str::trim_start).collect()
}

#[test]
fn state_rows_seeds_have_every_form() {
    let saved = |rest: &str| {
        packed(&format!(
            r#"{{"id":"1790000000-1","kind":"TRAFFIC","source":"10.0.0.1","opened_at":1790000000000000000,{rest},
            "measured":3000,"limit":1000,"ip_bytes":3000,"last":2000,"exceeded_at":1790000001000000000,
            "reopened":0,"times_said":2,"is_said":true}}"#
        ))
    };
    let mute = packed(
        r#"{"id":1,"source":"10.0.0.0/8","kind":"TRAFFIC","made_at":1790000000000000000,
        "until":1790000600000000000,"reason":"backup"}"#,
    );
    let file = |open: &str, closed: &str, mutes: &str| {
        format!(
            r#"{{"version":1,"opened":2,"last_mute":1,"open":[{open}],"closed":[{closed}],"mutes":[{mutes}]}}"#
        )
    };
    let (open, closed) = (saved(r#""closed_at":null"#), saved(r#""closed_at":1790000002000000000"#));
    let possible = r#""is_said":true,"error":7,"is_possible":true,"is_said_as_possible":true"#;
    let possible = open.replace(r#""is_said":true"#, possible);
    let other = closed.replace("10.0.0.1", "fd00::1").replace("-1\"", "-2\"");

    let outcomes = r#"{"answered":1,"refused":2,"expired":3,"silent":4,"unseen":0,"early":0}"#;
    let scan = format!(
        r#"{{"role":"scanner","class":"sweep","confidence":"high","contacted":10,"outcomes":{outcomes},
        "answers_visible":true,"ports":[{{"protocol":6,"port":22,"outcomes":{outcomes},"served":0,"traced":1,
        "hosts_in_one_network":9}}],"ports_at_one_host":1,"targets":[{{"addr":"198.51.100.1","port":[6,22],
        "outcome":"refused"}}],"pace_contacts":10,"pace_over":1000000000,"why":"10 hosts on port 22"}}"#
    );
    let alert = |kind: &str, source: &str, closed_at: &str, scan: &str| {
        packed(&format!(
            r#"{{"id":"1790000000-1","kind":"{kind}","source":{source},"opened_at":1790000000000000000,
            "closed_at":{closed_at},"measured":3000,"limit":1000,"window":170000000000,"ip_bytes":3000,
            "destinations":[["198.51.100.1",2000]],"ports":[22,80],
            "loss":{{"packets":10,"drops":1,"freezes":1}},"scan":{scan},
            "progress":{{"last":2000,"exceeded_at":1790000001000000000,"reopened":1,"is_muted":false,
            "is_possible":false,"error":5}}}}"#
        ))
    };
    let host = r#""10.0.0.1""#;
    let traffic = alert("TRAFFIC", host, "null", "null");
    let end = alert("TRAFFIC", host, "1790000009000000000", "null");
    let scanning = alert("SCANNING", host, "null", &scan);
    let notice = |occasion: &str, multiple: &str, alert: &str| {
        format!(r#"{{"version":1,"occasion":"{occasion}","multiple":{multiple},"alert":{alert}}}"#)
    };
    let extreme = traffic
        .replace("1790000000000000000", "18446744073709551615")
        .replace("170000000000", "18446744073709551615")
        .replace("3000", "18446744073709551610");
    let row = |alert: &str| {
        format!(
            r#"{{"version":1,"multiple_reached":2,"is_notified":true,"is_notified_as_possible":false,"alert":{alert}}}"#
        )
    };
    let summary = |is_complete: bool, kinds: &str, named: &str| {
        packed(&format!(
            r#"{{"version":1,"from":1790000000000000000,"to":1790000058000000000,"kinds":[{kinds}],
            "named":[{named}],"is_complete":{is_complete}}}"#
        ))
    };
    let counts = |kind: &str| format!(r#"{{"kind":"{kind}","opened":3,"confirmed":1,"grown":2,"closed":1}}"#);
    let named = |n: u32, kind: &str, source: &str, is_storm: bool| {
        format!(
            r#"{{"id":"1790000000-{n}","kind":"{kind}","source":{source},"state":"open","measured":1200,"limit":100,"is_storm":{is_storm}}}"#
        )
    };
    let of_storm = r#","storm":{"network":null,"target":"198.51.100.1","is_local":false,"hosts":3,"said_singly":1,"open":2,
        "sample":["10.0.0.1","10.0.1.1"],"networks":[["10.0.0.0/24",2],["10.0.1.0/24",1]]}"#;
    let storm = alert("SCANNING", "null", "null", "null")
        .replace(r#""error":5"#, &format!(r#""error":5{}"#, packed(of_storm)));
    let goes_on = packed(
        r#","storm":{"has_target":true,"networks":[["10.0.0.0/24",2],["10.0.1.0/24",1]],"hosts_at_opening":2,"growths":1,
        "hosts_said":2,"pause":2000000000,"joined":[[1790000000000000000,3]],"last_joined_at":1790000001000000000}"#,
    );
    let member = traffic
        .replace("1790000000-1", "1790000000-5")
        .replace("TRAFFIC", "SCANNING")
        .replace(r#""error":5"#, r#""error":5,"storm_id":"1790000000-1""#);
    let member_row = row(&member);
    let storm_row = |version: u32, more: &str| {
        let row = row(&storm).replacen(r#""version":1"#, &format!(r#""version":{version}"#), 1);
        let storm_row = format!("{}{more}}}", row.strip_suffix('}').expect("an object"));
        [storm_row, member_row.clone()].join("\n")
    };
    let mute_row = format!(r#"{{"version":1,"mute":{mute}}}"#);
    compare(
        "state_rows",
        &[
            ("file_empty", file("", "", "")),
            ("file", file(&open, &other, &mute)),
            ("file_possible", file(&possible, "", "")),
            ("file_all_muted", file(&open, "", &mute.replace("\"TRAFFIC\"", "null"))),
            ("alert", format!(r#"{{"version":1,"alert":{traffic}}}"#)),
            ("alert_scan", format!(r#"{{"version":1,"alert":{scanning}}}"#)),
            ("alert_loss", format!(r#"{{"version":1,"alert":{}}}"#, alert("LOSS", "null", "null", "null"))),
            ("opened", notice("opened", "null", &traffic)),
            ("opened_scan", notice("opened", "null", &scanning)),
            ("confirmed", notice("confirmed", "null", &traffic)),
            ("grown", notice("grown", "5", &traffic)),
            ("closed", notice("closed", "null", &end)),
            ("test", notice("test", "null", &traffic)),
            ("extreme", notice("grown", "18446744073709551615", &extreme)),
            ("summary", summary(true, &counts("TRAFFIC"), &named(1, "TRAFFIC", host, false))),
            (
                "summary_draft",
                summary(
                    false,
                    &[counts("SCANNING"), counts("LOSS")].join(","),
                    &[
                        named(1, "SCANNING", "null", true),
                        named(2, "LOSS", "null", false).replace("open", "possible"),
                        named(3, "SCANNING", r#""fd00::1""#, false).replace("open", "closed"),
                    ]
                    .join(","),
                ),
            ),
            ("later_version", r#"{"version":2,"alert":{}}"#.to_owned()),
            (
                "rows",
                [&row(&traffic), &row(&scanning.replace("000-1\"", "000-2\"")), &mute_row]
                    .map(String::as_str)
                    .join("\n"),
            ),
            ("rows_twice", [row(&traffic), row(&end), mute_row.clone(), mute_row.clone()].join("\n")),
            ("rows_storm", storm_row(2, &goes_on)),
            ("rows_storm_earlier", storm_row(1, "")),
            (
                "rows_closed",
                [row(&end), row(&extreme), mute_row.replace("1790000600", "1690000600")].join("\n"),
            ),
        ],
    );
}

#[test]
fn state_database_seeds_change_each_part_of_the_file() {
    // Bytes of the header, of the schema, of pages of the tables and of their free space.
    let places: [&[u32]; 6] =
        [&[], &[18, 19], &[100, 103, 107], &[4096, 4099], &[8192, 8200, 12_288], &[40_000, 60]];
    let mut seeds: Seeds = (0..)
        .zip(places)
        .map(|(number, places)| {
            let changes = places.iter().flat_map(|place| place.to_be_bytes().into_iter().chain([0x41]));
            (format!("changes_{number}"), [1].into_iter().chain(changes).collect())
        })
        .collect();
    seeds.insert("nothing".to_owned(), vec![0]);
    seeds.insert("magic".to_owned(), b"\0SQLite format 3\0\x10\0\x01\x01\0\x40\x20\x20".to_vec());
    seeds.insert("text".to_owned(), b"\0version 1\n".to_vec());
    compare_or_update("state_database", &seeds);
}

#[test]
fn reload_seeds_change_every_kind_of_setting() {
    let pair = |running: &str, new: &str| format!("{running}\0{new}");
    let all = "TrafficInterval: 60\nByteLimit: 1.5G\nExcludedInterfaces: lo, \"rx0\"\nNumberContactedIPs: 20\n\
               PortInterval: 300\nScanEvidence: contacts\nLimitFor: 10.0.5.0/24 ByteLimit 20G, PacketRateLimit off\n\
               IgnoredSources: 10.0.0.9, fd00::/32\nGroupIPv6: 56\nDirection: in+own\nWorkers: 1\nPinCores: 0\n\
               EventLoop: epoll\nRingMemory: 8M\nMemoryLimit: 1G\nListenAddress: [::1]:80\nLogFormat: json\n\
               AlertFile: /var/log/alerts\nAlertFileKeep: 3\nWebhookURL: https://example.net/x\n\
               WebhookToken: abc\nSyslog: tcp://192.0.2.9\nSyslogFacility: local0\n";
    let wide = "ListenAddress: 0.0.0.0:8698\n";
    let token = "ApiToken: 0123456789abcdef0123456789abcdef\n";
    compare(
        "reload",
        &[
            ("nothing", pair("", "")),
            ("to_all", pair("", all)),
            ("to_nothing", pair(all, "")),
            ("same", pair(all, all)),
            ("live", pair(all, &all.replace("1.5G", "2G"))),
            ("restart", pair("Workers: 1\n", "Workers: 2\nRingMemory: 64M\n")),
            ("smaller_than_a_host", pair("GroupIPv6: 48\n", "GroupIPv6: 64\nIgnoredSources: fd00::/64\n")),
            ("exception_within_a_host", pair("GroupIPv6: 48\n", "LimitFor: fd00::/64 ByteLimit 2G\n")),
            ("no_ports", pair("AnalyzePorts: false\n", "LimitFor: 10.0.0.0/8 NumContactedPorts 9\n")),
            ("excluded", pair("Promiscuous: eth1\n", "ExcludedInterfaces: eth1\nGroupIPv6: 64\n")),
            (
                "token",
                pair(
                    "WebhookURL: https://example.net/\nWebhookToken: a\n",
                    "WebhookURL: https://example.net/\nWebhookTokenFile: /x\n",
                ),
            ),
            ("faulty", pair("Workers: 0\n", all)),
            ("without_token", pair(&format!("{wide}{token}"), "ByteLimit: 2G\nUser: nobody\nSandbox: off\n")),
            (
                "without_token_file",
                pair(&format!("{wide}ApiTokenFile: /t\n"), "ApiUsers: 0,@adm\nApiSocket: off\n"),
            ),
            (
                "to_token_file",
                pair(&format!("{wide}{token}"), &format!("{wide}ApiTokenFile: /t\nByteLimit: 2G\n")),
            ),
            ("other_token", pair(token, "ApiToken: fedcba9876543210fedcba9876543210\nApiUsers: gw-admin\n")),
        ],
    );
}
