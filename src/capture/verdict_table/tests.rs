//! Verdicts on interfaces of every kind, by their relations and by the policy.

use super::*;
use crate::capture::options::DirectionPolicy;
use crate::capture::tc_filter::{MirredRule, Side};

const COUNTS: Verdict = Verdict::Count;
const EXCLUDED: Verdict = Verdict::Skip(Skip::ExcludedInterface);
const UPPER: Verdict = Verdict::Skip(Skip::UpperDevice);
const WIRE: Verdict = Verdict::Skip(Skip::InternalWire);

fn link(ifindex: u32, name: &str, kind: &str) -> Link {
    let hatype = if name == "lo" { libc::ARPHRD_LOOPBACK } else { libc::ARPHRD_ETHER };
    let kind = (!kind.is_empty()).then(|| kind.to_owned());
    Link { kind, ..Link::alone(ifindex, InterfaceName::new(name.as_bytes()), hatype) }
}

fn on(lower: u32, link: Link) -> Link {
    Link { lower: Some(lower), ..link }
}

fn port_of(master: u32, link: Link) -> Link {
    Link { master: Some(master), ..link }
}

fn table(links: Vec<Link>, excluded: &[&str], direction: DirectionPolicy) -> VerdictTable {
    let excluded = excluded.iter().map(|text| NamePattern::new(text)).collect();
    let interfaces = Interfaces { links, ..Interfaces::default() };
    VerdictTable::new(&interfaces, &Policy { excluded, direction, ..Policy::default() })
}

fn ingress(links: Vec<Link>, excluded: &[&str]) -> Vec<Verdict> {
    table(links, excluded, DirectionPolicy::Auto).interfaces().iter().map(|(_, row)| row.ingress).collect()
}

/// Name, links, excluded names, the verdict on ingress frames of each link.
type UpperCase = (&'static str, Vec<Link>, &'static [&'static str], Vec<Verdict>);

fn eth() -> Link {
    link(1, "eth0", "")
}

#[test]
fn an_upper_device_is_skipped_while_a_lower_one_is_monitored() {
    let cases: Vec<UpperCase> = vec![
        ("vlan", vec![eth(), on(1, link(2, "eth0.5", "vlan"))], &[], vec![COUNTS, UPPER]),
        (
            "vlan, lower excluded",
            vec![eth(), on(1, link(2, "eth0.5", "vlan"))],
            &["eth0"],
            vec![EXCLUDED, COUNTS],
        ),
        ("macvtap", vec![eth(), on(1, link(2, "tap", "macvtap"))], &[], vec![COUNTS, UPPER]),
        (
            "bridge with ports",
            vec![port_of(3, eth()), port_of(3, link(2, "eth1", "")), link(3, "br0", "bridge")],
            &[],
            vec![COUNTS, COUNTS, UPPER],
        ),
        ("bridge without ports", vec![eth(), link(3, "br0", "bridge")], &[], vec![COUNTS, COUNTS]),
        (
            "bridge, every port excluded",
            vec![port_of(3, eth()), link(3, "br0", "bridge")],
            &["eth0"],
            vec![EXCLUDED, COUNTS],
        ),
        (
            "vlan on bond on hardware",
            vec![port_of(2, eth()), link(2, "bond0", "bond"), on(2, link(3, "bond0.7", "vlan"))],
            &[],
            vec![COUNTS, UPPER, UPPER],
        ),
        (
            "vlan on bond, hardware excluded",
            vec![port_of(2, eth()), link(2, "bond0", "bond"), on(2, link(3, "bond0.7", "vlan"))],
            &["eth0"],
            vec![EXCLUDED, COUNTS, UPPER],
        ),
        ("tunnel", vec![eth(), on(1, link(2, "vx0", "vxlan"))], &[], vec![COUNTS, COUNTS]),
        ("port of a switch chip", vec![eth(), on(1, link(2, "lan1", "dsa"))], &[], vec![COUNTS, COUNTS]),
        ("encrypted", vec![eth(), on(1, link(2, "ms0", "macsec"))], &[], vec![COUNTS, COUNTS]),
        ("lower gone", vec![on(9, link(2, "eth0.5", "vlan"))], &[], vec![COUNTS]),
    ];
    for (name, links, excluded, expected) in cases {
        assert_eq!(ingress(links, excluded), expected, "{name}");
    }
}

#[test]
fn devices_of_open_vswitch_are_skipped_while_a_physical_port_is_monitored() {
    let cases: Vec<UpperCase> = vec![
        (
            "Open vSwitch with a physical port",
            vec![
                port_of(2, eth()),
                link(2, "ovs-system", "openvswitch"),
                link(3, "br0", "openvswitch"),
                port_of(2, link(4, "internal0", "openvswitch")),
                port_of(2, link(5, "vnet0", "tun")),
                port_of(2, link(6, "vx0", "vxlan")),
            ],
            &[],
            vec![COUNTS, UPPER, UPPER, UPPER, COUNTS, COUNTS],
        ),
        (
            "Open vSwitch, its only physical port excluded",
            vec![port_of(2, eth()), link(2, "ovs-system", "openvswitch"), link(3, "br0", "openvswitch")],
            &["eth0"],
            vec![EXCLUDED, COUNTS, COUNTS],
        ),
        (
            "Open vSwitch without ports",
            vec![eth(), link(2, "ovs-system", "openvswitch"), link(3, "br0", "openvswitch")],
            &[],
            vec![COUNTS, COUNTS, COUNTS],
        ),
        (
            "vlan on a bridge of Open vSwitch",
            vec![
                port_of(2, eth()),
                link(2, "ovs-system", "openvswitch"),
                link(3, "br0", "openvswitch"),
                on(3, link(4, "br0.7", "vlan")),
            ],
            &[],
            vec![COUNTS, UPPER, UPPER, UPPER],
        ),
    ];
    for (name, links, excluded, expected) in cases {
        assert_eq!(ingress(links, excluded), expected, "{name}");
    }
}

#[test]
fn an_ifb_is_skipped_whatever_is_excluded() {
    let rule = |source, target| MirredRule {
        source,
        source_side: Side::Ingress,
        target,
        target_side: Side::Egress,
        is_mirror: false,
    };
    let verdicts = |rules: &[MirredRule], excluded: &[&str]| -> Vec<_> {
        let links = vec![link(1, "wan", ""), link(2, "lan", ""), link(3, "ifb0", "ifb")];
        let interfaces = Interfaces { links, mirred: rules.to_vec(), ..Interfaces::default() };
        let excluded = excluded.iter().map(|text| NamePattern::new(text)).collect();
        let table = VerdictTable::new(&interfaces, &Policy { excluded, ..Policy::default() });
        table.interfaces().iter().map(|(_, row)| (row.ingress, row.egress, row.is_comparable)).collect()
    };
    let counted = (COUNTS, COUNTS, true);
    let skipped = |reason| (reason, reason, true);
    assert_eq!(verdicts(&[rule(1, 3)], &[]), [counted, counted, skipped(UPPER)]);
    assert_eq!(verdicts(&[], &[]), [counted, counted, skipped(UPPER)], "it has no frames of its own");
    assert_eq!(verdicts(&[rule(1, 3)], &["wan"]), [skipped(EXCLUDED), counted, skipped(UPPER)]);
    assert_eq!(verdicts(&[rule(1, 3), rule(2, 3)], &["wan"])[2], skipped(UPPER));
}

#[test]
fn a_copy_is_skipped_in_the_direction_in_which_it_crosses_the_target() {
    use DirectionPolicy::{Both, In, InAndOwn};
    use Side::{Egress, Ingress};
    /// Side of the source, side of the target, mirror or redirect; then what becomes of the target where egress
    /// counts, and where it is observed: the verdicts on ingress and egress.
    type Case = (Side, Side, bool, [Verdict; 2], [Verdict; 2]);
    let cases: [Case; 8] = [
        (Ingress, Egress, true, [COUNTS, UPPER], [COUNTS, UPPER]),
        (Egress, Egress, true, [COUNTS, UPPER], [COUNTS, UPPER]),
        (Ingress, Ingress, true, [UPPER, COUNTS], [UPPER, Verdict::ObserveOnly]),
        (Egress, Ingress, true, [UPPER, COUNTS], [UPPER, Verdict::ObserveOnly]),
        (Ingress, Egress, false, [COUNTS, Verdict::CountIfOwn], [COUNTS, Verdict::ObserveOnly]),
        (Egress, Egress, false, [COUNTS, COUNTS], [COUNTS, Verdict::ObserveOnly]),
        (Ingress, Ingress, false, [UPPER, COUNTS], [UPPER, Verdict::ObserveOnly]),
        (Egress, Ingress, false, [COUNTS, COUNTS], [UPPER, Verdict::ObserveOnly]),
    ];
    for (source_side, target_side, is_mirror, both, observed) in cases {
        let rule = MirredRule { source: 1, source_side, target: 2, target_side, is_mirror };
        let links = vec![link(1, "wan", ""), link(2, "span", "")];
        let interfaces = Interfaces { links, mirred: vec![rule], ..Interfaces::default() };
        for (direction, expected) in [(Both, both), (In, observed)] {
            let table = VerdictTable::new(&interfaces, &Policy { direction, ..Policy::default() });
            let row = table.row(2).unwrap();
            assert_eq!([row.ingress, row.egress], expected, "{rule:?} {direction:?}");
            assert_eq!((row.skipped(), row.other_host == row.ingress), (None, row.ingress == UPPER));
            assert_eq!(row.is_comparable, target_side == Egress, "{rule:?}");
        }
        let policy = Policy { direction: InAndOwn, ..Policy::default() };
        let own = VerdictTable::new(&interfaces, &policy).row(2).map(|row| row.egress);
        assert_eq!(own == Some(UPPER), both[1] == UPPER, "{rule:?}");
    }
}

/// Name, links, and the verdict on the first one with the stations for which its frames count.
type StationCase = (&'static str, Vec<Link>, (Verdict, Vec<Station>));

fn with(station: u8, link: Link) -> Link {
    Link { station: Some([2, 0, 0, 0, 0, station]), ..link }
}

fn vlan(id: u16, link: Link) -> Link {
    Link { vlan_id: Some(id), ..on(1, link) }
}

/// Asserts the verdicts on frames for other stations. Interfaces named span are in `Promiscuous`.
fn assert_other_stations(cases: Vec<StationCase>) {
    for (name, links, expected) in cases {
        let interfaces = Interfaces { links, ..Interfaces::default() };
        let policy = Policy { promiscuous: vec![NamePattern::new("span?")], ..Policy::default() };
        let table = VerdictTable::new(&interfaces, &policy);
        let row = table.row(1).unwrap();
        assert_eq!((row.other_host, row.stations.clone()), expected, "{name}");
        assert_eq!(table.verdict(1, Direction::OtherHost), Some(row.other_host), "{name}");
    }
}

#[test]
fn every_frame_for_another_station_counts_below_a_bridge_and_in_promiscuous() {
    let eth = || with(1, eth());
    assert_other_stations(vec![
        ("port of a bridge", vec![port_of(2, eth()), link(2, "br0", "bridge")], (COUNTS, vec![])),
        (
            "port of Open vSwitch",
            vec![port_of(2, eth()), link(2, "ovs-system", "openvswitch")],
            (COUNTS, vec![]),
        ),
        (
            "port of a bond that is a port of a bridge",
            vec![port_of(2, eth()), port_of(3, link(2, "bond0", "bond")), link(3, "br0", "bridge")],
            (COUNTS, vec![]),
        ),
        (
            "below a VLAN that is a port of a bridge",
            vec![eth(), port_of(3, vlan(5, link(2, "eth0.5", "vlan"))), link(3, "br0", "bridge")],
            (COUNTS, vec![]),
        ),
        (
            "macvtap that gets every frame",
            vec![eth(), Link { passes_through: true, ..on(1, link(2, "macvtap0", "macvtap")) }],
            (COUNTS, vec![]),
        ),
        ("below a bond in Promiscuous", vec![port_of(2, eth()), link(2, "span2", "bond")], (COUNTS, vec![])),
        ("in Promiscuous", vec![link(1, "span0", "")], (COUNTS, vec![])),
        ("without stations", vec![Link { hatype: libc::ARPHRD_NONE, ..eth() }], (COUNTS, vec![])),
    ]);
    let excluded = table(vec![eth()], &["eth0"], DirectionPolicy::Auto);
    assert_eq!(excluded.verdict(1, Direction::OtherHost), Some(EXCLUDED));
}

#[test]
fn a_frame_for_another_station_counts_if_a_device_above_has_the_address() {
    const ABOVE: Verdict = Verdict::CountForDeviceAbove;
    let eth = || with(1, eth());
    let stations =
        |numbers: &[u8]| -> Vec<Station> { numbers.iter().map(|&number| [2, 0, 0, 0, 0, number]).collect() };
    assert_other_stations(vec![
        ("alone", vec![eth()], (ABOVE, vec![])),
        (
            "macvlan, macvtap and a VLAN with addresses of their own",
            vec![
                eth(),
                on(1, with(9, link(2, "vrrp.51", "macvlan"))),
                on(1, with(8, link(3, "macvtap0", "macvtap"))),
                with(7, vlan(5, link(4, "eth0.5", "vlan"))),
            ],
            (ABOVE, stations(&[7, 8, 9])),
        ),
        (
            "macvlan on a VLAN on a bond",
            vec![
                port_of(2, eth()),
                with(2, link(2, "bond0", "bond")),
                on(2, with(3, link(3, "bond0.7", "vlan"))),
                on(3, with(4, link(4, "vrrp.51", "macvlan"))),
            ],
            (ABOVE, stations(&[2, 3, 4])),
        ),
        (
            "macvlan that is a port of a bridge",
            vec![eth(), port_of(3, on(1, with(9, link(2, "mv0", "macvlan")))), link(3, "br0", "bridge")],
            (ABOVE, stations(&[9])),
        ),
        (
            "below a macvlan in Promiscuous",
            vec![eth(), on(1, with(9, link(2, "span2", "macvlan")))],
            (ABOVE, stations(&[9])),
        ),
        ("a circle", vec![on(2, eth()), on(1, with(5, link(2, "x", "vlan")))], (ABOVE, stations(&[5]))),
    ]);
}

#[test]
fn a_veth_pair_in_this_namespace_is_skipped_on_both_ends() {
    let pair = || vec![on(2, link(1, "a", "veth")), on(1, link(2, "b", "veth"))];
    assert_eq!(ingress(pair(), &[]), [WIRE, WIRE]);
    assert_eq!(ingress(pair(), &["a"]), [EXCLUDED, WIRE]);
    // The other end is in another namespace (IFLA_LINK_NETNSID), so that IFLA_LINK was ignored.
    assert_eq!(ingress(vec![link(1, "a", "veth")], &[]), [COUNTS]);
    // Only one of the two refers to the other.
    assert_eq!(ingress(vec![on(2, link(1, "a", "veth")), link(2, "eth0", "")], &[]), [COUNTS, COUNTS]);
    // The packets of veth pairs are captured on the bridge if it has no other ports.
    let mut bridged = pair();
    bridged[0].master = Some(3);
    bridged.push(link(3, "br0", "bridge"));
    assert_eq!(ingress(bridged, &[]), [WIRE, WIRE, COUNTS]);
}

#[test]
fn egress_counts_by_policy_and_by_forwarding() {
    use DirectionPolicy::{Auto, Both, In, InAndOwn};
    let bridge = |kind, ports: u32| {
        let mut links = vec![link(1, "br0", kind)];
        links.extend((0..ports).map(|port| port_of(1, link(10 + port, "port", ""))));
        links
    };
    /// Name, links, IP forwarding, policy; then whether it forwards, and the verdict on egress frames.
    type Case = (&'static str, Vec<Link>, bool, DirectionPolicy, bool, Verdict);
    let cases: Vec<Case> = vec![
        ("a machine that does not forward", vec![], false, Auto, false, COUNTS),
        ("a router", vec![], true, Auto, true, Verdict::ObserveOnly),
        ("a router, both", vec![], true, Both, true, COUNTS),
        ("a router, in+own", vec![], true, InAndOwn, true, Verdict::CountIfOwn),
        ("a machine that does not forward, in", vec![], false, In, false, Verdict::ObserveOnly),
        ("a bridge with one port", bridge("bridge", 1), false, Auto, false, COUNTS),
        ("a bridge with two ports", bridge("bridge", 2), false, Auto, true, Verdict::ObserveOnly),
        ("Open vSwitch", bridge("openvswitch", 2), false, Auto, true, Verdict::ObserveOnly),
        ("a bond with two ports", bridge("bond", 2), false, Auto, false, COUNTS),
    ];
    for (name, mut links, ip_forwarding, direction, forwards, egress) in cases {
        links.push(link(99, "eth0", ""));
        let interfaces = Interfaces { links, ip_forwarding, ..Interfaces::default() };
        let table = VerdictTable::new(&interfaces, &Policy { direction, ..Policy::default() });
        assert_eq!(table.forwards(), forwards, "{name}");
        assert_eq!(table.verdict(99, Direction::Egress), Some(egress), "{name}");
        assert_eq!(table.verdict(99, Direction::Ingress), Some(COUNTS), "{name}");
    }
}

#[test]
fn pppoe_sessions_end_here_if_a_ppp_interface_is_monitored() {
    let ppp = || Link { hatype: libc::ARPHRD_PPP, ..link(2, "ppp0", "ppp") };
    for (links, excluded, expected) in [
        (vec![link(1, "eth0", "")], &[][..], false),
        (vec![link(1, "eth0", ""), ppp()], &[], true),
        (vec![link(1, "eth0", ""), ppp()], &["ppp0"], false),
    ] {
        let table = table(links, excluded, DirectionPolicy::Auto);
        assert_eq!(table.terminates_pppoe(), expected, "{table}");
    }
}

#[test]
fn lo_counts_ingress_and_never_egress() {
    for direction in [DirectionPolicy::Auto, DirectionPolicy::Both, DirectionPolicy::InAndOwn] {
        let table = table(vec![link(1, "lo", "")], &[], direction);
        assert_eq!(table.verdict(1, Direction::Ingress), Some(COUNTS));
        assert_eq!(table.verdict(1, Direction::Egress), Some(Verdict::Skip(Skip::Egress)));
    }
    assert_eq!(ingress(vec![link(1, "lo", "")], &["lo"]), [EXCLUDED]);
}

fn names(names: &[&str]) -> Vec<InterfaceName> {
    names.iter().map(|name| InterfaceName::new(name.as_bytes())).collect()
}

#[test]
fn an_unknown_interface_is_excluded_by_any_of_its_names() {
    const UNKNOWN: Verdict = Verdict::Skip(Skip::UnknownInterface);
    let table = table(vec![link(1, "lo", "")], &["lo", "dummy0"], DirectionPolicy::In);
    assert_eq!(table.verdict(7, Direction::Ingress), None);
    let cases = [
        (&["dummy0"][..], EXCLUDED, EXCLUDED),
        (&["eth7", "dummy0", "eth8"], EXCLUDED, EXCLUDED),
        (&["dummy"], COUNTS, Verdict::ObserveOnly),
        (&["eth7", "eth8"], COUNTS, Verdict::ObserveOnly),
        (&[], UNKNOWN, UNKNOWN),
    ];
    for (given, ingress, egress) in cases {
        let row = table.unknown_interface(7, &names(given));
        assert_eq!((row.ingress, row.egress), (ingress, egress), "{given:?}");
        assert_eq!(row.name, names(given).last().cloned());
    }
}

#[test]
fn an_unknown_interface_without_a_name_counts_if_no_name_is_excluded() {
    let lo = || vec![link(1, "lo", "")];
    for (excluded, links, counts) in
        [(&[][..], vec![], true), (&["lo"], lo(), true), (&["lo"], vec![], false), (&["x"], lo(), false)]
    {
        let row = table(links, excluded, DirectionPolicy::In).unknown_interface(7, &[]);
        assert_eq!(row.ingress == COUNTS, counts, "{excluded:?}");
    }
}

#[test]
fn a_recent_interface_is_excluded_by_its_former_names_too() {
    let named = |name, former: &[&str]| Link { former_names: names(former), ..link(2, name, "") };
    for (link, expected, by_former_name) in [
        (named("eth2", &[]), COUNTS, false),
        (named("eth2", &["eth0"]), COUNTS, false),
        (named("eth2", &["secret", "eth0"]), EXCLUDED, true),
        (named("secret", &["eth0"]), EXCLUDED, false),
    ] {
        let policy = Policy { excluded: vec![NamePattern::new("secret")], ..Policy::default() };
        assert_eq!(policy.excludes_former_name_of(&link), by_former_name, "{link:?}");
        assert_eq!(ingress(vec![link.clone()], &["secret"]), [expected], "{link:?}");
    }
}

#[test]
fn a_removed_interface_keeps_its_verdicts() {
    let excluded = &["secret"];
    let at = |links| table(links, excluded, DirectionPolicy::In);
    let all = vec![link(1, "eth0", ""), on(1, link(2, "eth0.5", "vlan")), link(3, "secret", "")];
    let before = at(all.clone());
    let after = at(vec![link(4, "eth4", "")]).following(&before);
    let row = |table: &VerdictTable, ifindex, given: &[&str]| {
        table.unknown_interface(ifindex, &names(given)).ingress
    };
    assert_eq!([1, 2, 3].map(|ifindex| row(&after, ifindex, &[])), [COUNTS, UPPER, EXCLUDED]);
    // It was added again under another name, and the next table is not in force yet.
    assert_eq!(row(&after, 1, &["secret"]), EXCLUDED);
    assert_eq!(row(&after, 2, &["open"]), UPPER);
    // A table of the same interfaces keeps them; when all interfaces are added again, none is kept.
    assert_eq!(at(vec![link(4, "eth4", "")]).following(&after), after);
    assert!(at(all).following(&after).removed.iter().map(|(ifindex, _)| ifindex).eq(&[4]));
}

#[test]
fn the_number_of_removed_interfaces_is_bounded() {
    let many = |from: u32| (from..from + 700).map(|i| link(i, "c", "")).collect();
    let first = table(many(1000), &[], DirectionPolicy::In);
    let second = table(many(2000), &[], DirectionPolicy::In).following(&first);
    let third = table(vec![], &[], DirectionPolicy::In).following(&second);
    assert_eq!((second.removed.len(), third.removed.len()), (700, REMOVED_MAX));
    assert!(
        third.removed.iter().any(|&(ifindex, _)| ifindex == 2699),
        "the oldest removals are dropped first"
    );
}

#[test]
fn the_vlan_of_an_excluded_vlan_device_is_excluded_on_each_device_below() {
    let vlan = |id, link| Link { vlan_id: Some(id), ..link };
    let links = vec![
        port_of(2, link(1, "eth0", "")),
        link(2, "bond0", "bond"),
        vlan(7, on(2, link(3, "guest", "vlan"))),
        // A VLAN inside a VLAN: on the devices below guest its tag is the second one.
        vlan(20, on(3, link(4, "inner", "vlan"))),
        vlan(8, on(2, link(5, "office", "vlan"))),
    ];
    let excluded_vlans =
        |excluded: &[&str]| table(links.clone(), excluded, DirectionPolicy::Auto).excluded_vlans;
    assert_eq!(excluded_vlans(&["guest"]), [(1, 7), (2, 7)]);
    assert_eq!(excluded_vlans(&["inner"]), [(3, 20)]);
    assert_eq!(excluded_vlans(&[]), []);
}

#[test]
fn the_broadcast_addresses_are_those_of_attached_networks() {
    let own = |(addr, prefix): (&str, &str)| OwnAddress {
        addr: addr.parse().unwrap(),
        ifindex: 1,
        prefix: prefix.parse().ok(),
    };
    let addresses = [
        ("192.168.1.9", "192.168.1.0/24"),
        ("192.168.1.10", "192.168.1.0/24"),
        ("10.0.4.1", "10.0.4.0/23"),
        // A point-to-point link, a network of two addresses, and IPv6.
        ("198.51.100.7", "203.0.113.1/32"),
        ("10.9.9.0", "10.9.9.0/31"),
        ("fd00::1", "fd00::/64"),
    ];
    let own_addresses = addresses.map(own).to_vec();
    let table = |own_addresses| {
        VerdictTable::new(&Interfaces { own_addresses, ..Interfaces::default() }, &Policy::default())
    };
    let expected: [Ipv4Addr; 2] = [[10, 0, 5, 255].into(), [192, 168, 1, 255].into()];
    assert_eq!(table(own_addresses.clone()).broadcasts(), expected);
    assert_ne!(table(own_addresses[..2].to_vec()), table(own_addresses), "a change makes another table");
}

#[test]
fn a_packet_is_seen_leaving_if_it_is_routed_or_bridged() {
    let bridge = vec![
        port_of(3, link(1, "eth0", "")),
        port_of(3, link(2, "eth1", "")),
        link(3, "br0", "bridge"),
        link(4, "mirror", ""),
    ];
    let own_addresses = vec![OwnAddress { addr: [10, 0, 0, 1].into(), ifindex: 4, prefix: None }];
    let table = |links, ip_forwarding| {
        let own_addresses = own_addresses.clone();
        let interfaces = Interfaces { links, ip_forwarding, own_addresses, ..Interfaces::default() };
        VerdictTable::new(&interfaces, &Policy::default())
    };
    let (own, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    let router = table(vec![link(1, "eth0", "")], true);
    assert!(router.is_seen_leaving(1, Direction::Ingress, other));
    assert!(!router.is_seen_leaving(1, Direction::Ingress, own), "it may be translated, or ends here");
    assert!(!router.is_seen_leaving(1, Direction::OtherHost, other), "a frame of a mirror");
    assert!(!router.is_seen_leaving(1, Direction::Egress, other), "it leaves now");
    let plain = table(vec![link(1, "eth0", "")], false);
    assert!(!plain.is_seen_leaving(1, Direction::Ingress, other));
    let bridge = table(bridge, false);
    assert!(bridge.is_seen_leaving(1, Direction::OtherHost, other));
    assert!(!bridge.is_seen_leaving(4, Direction::OtherHost, other), "no port");
}

#[test]
fn own_addresses_are_found_and_interface_numbers_may_be_large() {
    let own = |addr| OwnAddress { addr, ifindex: 1, prefix: None };
    let addresses = ["fd00::1", "10.0.0.1", "fd00::1"].map(|addr| own(addr.parse().unwrap()));
    let interfaces = Interfaces {
        links: (0..700).map(|i| link(4_000_000_000 + i, "c", "")).collect(),
        ip_forwarding: false,
        own_addresses: addresses.to_vec(),
        mirred: vec![],
    };
    let policy = Policy { direction: DirectionPolicy::InAndOwn, ..Policy::default() };
    let table = VerdictTable::new(&interfaces, &policy);
    assert!(table.is_own([10, 0, 0, 1].into()) && !table.is_own([10, 0, 0, 2].into()));
    assert_eq!(table.monitored(), 700);
    assert_eq!(table.verdict(4_000_000_699, Direction::Ingress), Some(COUNTS));
    assert!(table.to_string().contains("and 684 more"), "{table}");
}

#[test]
fn the_log_line_lists_what_is_monitored() {
    let links = vec![link(1, "lo", ""), link(2, "eth0", ""), on(2, link(3, "eth0.5", "vlan"))];
    assert_eq!(
        table(links, &["lo"], DirectionPolicy::Auto).to_string(),
        "monitoring eth0; not lo (excluded_interface), eth0.5 (upper_device); \
         this host does not forward, packets count entering and leaving"
    );
    assert!(table(vec![], &[], DirectionPolicy::In).to_string().starts_with("no interface is monitored; "));
    let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
    let table = table(vec![], &[], DirectionPolicy::In).with_local_networks(LocalPrefixes::new(&networks));
    assert!(table.to_string().ends_with("entering; local networks are 10.0.0.0/8, fd00::/8"), "{table}");
}
