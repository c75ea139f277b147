//! Seeds of what comes from the kernel: messages of rtnetlink, and frames of interfaces with a filter program.

use super::{Seeds, compare_or_update};

/// Encodes an attribute (`struct nlattr`), padded to 4 bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = (value.len() as u16 + 4).to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// Encodes a message (`struct nlmsghdr`) of the dump with the number 1.
fn message(kind: u16, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let mut out = (body.len() as u32 + 16).to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend(2_u16.to_ne_bytes());
    out.extend([1_u32, 0].map(u32::to_ne_bytes).concat());
    out.extend(body);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn word(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

// include/uapi/linux/rtnetlink.h, if_link.h
const NEWLINK: u16 = 16;
const NEWADDR: u16 = 20;
const NEWROUTE: u16 = 24;
const NEWNEIGH: u16 = 28;
const NEWQDISC: u16 = 36;
const NEWTCLASS: u16 = 40;
const NEWTFILTER: u16 = 44;
const NEWNETCONF: u16 = 80;
const NEWSTATS: u16 = 92;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;

fn link(ifindex: u32, name: &[u8], more: &[Vec<u8>]) -> Vec<u8> {
    let header = [&[0, 0, 1, 0][..], &word(ifindex), &[0; 4], &word(u32::MAX)].concat();
    let name = attribute(IFLA_IFNAME, &[name, &[0]].concat());
    message(NEWLINK, &[&header, &name, &attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]), &more.concat()])
}

fn info(kind: &[u8], data: &[u8]) -> Vec<u8> {
    attribute(IFLA_LINKINFO, &[attribute(1, kind), attribute(2, data)].concat())
}

fn links() -> Vec<u8> {
    [
        link(1, b"lo", &[]),
        link(2, b"eth0", &[attribute(IFLA_STATS64, &[7; 200]), attribute(IFLA_MASTER, &word(5))]),
        link(3, b"eth0.7", &[attribute(IFLA_LINK, &word(2)), info(b"vlan\0", &attribute(1, &[7, 0]))]),
        link(4, b"mac\xff\x1b", &[attribute(IFLA_LINK, &word(2)), info(b"macvlan", &attribute(1, &word(8)))]),
        link(5, b"br0", &[info(b"bridge", &[])]),
        link(6, b"eth1", &[attribute(IFLA_MASTER, &word(5)), attribute(37, &word(0))]),
    ]
    .concat()
}

fn addresses() -> Vec<u8> {
    let header = |family, prefix_len| [&[family, prefix_len, 0, 0][..], &word(2)].concat();
    let v4 = [attribute(1, &[10, 0, 0, 2]), attribute(2, &[10, 0, 0, 1])].concat();
    let v6 = attribute(1, &[&[0xfd][..], &[0; 14], &[1]].concat());
    [
        message(NEWADDR, &[&header(2, 24), &v4]),
        message(NEWADDR, &[&header(10, 64), &v6]),
        message(NEWADDR, &[&header(2, 99), &v4]),
        message(NEWNETCONF, &[&[2, 0, 0, 0], &attribute(1, &word(2)), &attribute(2, &word(1))]),
    ]
    .concat()
}

fn route(family: u8, prefix_len: u8, more: &[Vec<u8>]) -> Vec<u8> {
    let header = [family, prefix_len, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    message(NEWROUTE, &[&header, &attribute(15, &word(254)), &more.concat()])
}

fn routes() -> Vec<u8> {
    let out = attribute(4, &word(2));
    let hop = |gateway: [u8; 4]| [&[16, 0, 0, 0][..], &word(3), &attribute(5, &gateway)].concat();
    let via = attribute(18, &[&[10, 0, 0xfe, 0x80][..], &[0; 13], &[1]].concat());
    let v6 = attribute(1, &[&[0xfd][..], &[0; 15]].concat());
    [
        route(2, 0, &[attribute(5, &[10, 0, 0, 1]), out.clone()]),
        route(
            2,
            16,
            &[attribute(1, &[10, 7, 0, 0]), attribute(9, &[hop([10, 0, 0, 8]), hop([10, 0, 0, 9])].concat())],
        ),
        route(2, 24, &[attribute(1, &[192, 168, 7, 0]), out.clone(), via]),
        route(10, 8, &[v6, out]),
    ]
    .concat()
}

fn traffic_control() -> Vec<u8> {
    let header = |ifindex: u32, handle: u32, parent: u32| [0, ifindex, handle, parent, 0].map(word).concat();
    let mirred = |what: u32, target: u32, block: u32| {
        let parameters = [[0; 5].map(word).concat(), [what, target].map(word).concat()].concat();
        let options = [attribute(2, &parameters), attribute(4, &word(block))].concat();
        attribute(1, &[attribute(1, b"mirred\0"), attribute(2, &options)].concat())
    };
    let filter = |kind: &[u8], actions_at: u16, actions: &[u8]| {
        let options = attribute(2, &attribute(actions_at, actions));
        message(NEWTFILTER, &[&header(2, 1, 0xffff_fff2), &attribute(1, kind), &options])
    };
    [
        message(
            NEWQDISC,
            &[&header(2, 0xffff_0000, 0xffff_fff1), &attribute(1, b"clsact\0"), &attribute(13, &word(9))],
        ),
        message(
            NEWQDISC,
            &[&header(3, 0x0001_0000, u32::MAX), &attribute(1, b"htb\0"), &attribute(14, &word(9))],
        ),
        message(NEWTCLASS, &[&header(3, 0x0001_0001, 0x0001_0000)]),
        filter(b"matchall\0", 2, &mirred(2, 6, 0)),
        filter(b"flower\0", 3, &[mirred(1, 3, 0), mirred(4, 0, 9)].concat()),
        filter(b"u32\0", 7, &mirred(3, 6, 0)),
    ]
    .concat()
}

fn lists_of_addresses_and_counters() -> Vec<u8> {
    let header = [&[7, 0, 0, 0][..], &word(2), &[0x80, 0, 2, 0]].concat();
    [
        message(NEWNEIGH, &[&header, &attribute(2, &[2, 0, 0, 0, 0, 9])]),
        message(NEWNEIGH, &[&header, &attribute(2, &[2, 0, 0, 0, 0, 9]), &attribute(1, &[10, 0, 0, 9])]),
        message(NEWSTATS, &[&[0; 4], &word(2), &word(1), &attribute(1, &[3; 192])]),
    ]
    .concat()
}

#[test]
fn netlink_seeds_have_every_list() {
    let mut seeds = Seeds::new();
    let mut add = |name: &str, datagram: Vec<u8>| seeds.insert(name.to_owned(), datagram);
    let all = [links(), addresses(), routes(), traffic_control(), lists_of_addresses_and_counters()];
    add("everything", all.concat());
    let names = ["links", "addresses", "routes", "traffic_control", "stations_and_counters"];
    for (name, datagram) in names.into_iter().zip(all) {
        add(name, datagram);
    }
    add("done", [links(), message(3, &[&word(0)])].concat());
    add("error", message(2, &[&(-95_i32).to_ne_bytes(), &[0; 16]]));
    add("cut", links()[..100].to_vec());
    // Tags of excluded VLANs on Open vSwitch devices whose bridge is a port of the same switch: each device is above
    // and below all others.
    add("circle", {
        let switch = |ifindex: u32, master: u32| {
            link(
                ifindex,
                format!("ovs{ifindex}").as_bytes(),
                &[attribute(IFLA_MASTER, &word(master)), info(b"openvswitch", &[])],
            )
        };
        let bridge = link(40, b"br0", &[attribute(IFLA_MASTER, &word(10)), info(b"bridge", &[])]);
        let guest =
            link(41, b"guest", &[attribute(IFLA_LINK, &word(10)), info(b"vlan", &attribute(1, &[7, 0]))]);
        let switches: Vec<u8> = (10..40).flat_map(|ifindex| switch(ifindex, 40)).collect();
        [switches, bridge, guest].concat()
    });
    compare_or_update("netlink", &seeds);
}

/// A policy and interfaces as the target reads them, see `src/capture/fuzzing/filter.rs`.
struct Scene {
    direction: u8,
    excluded: u8,
    links: Vec<Vec<u8>>,
    rules: Vec<[u8; 3]>,
}

impl Scene {
    /// Returns the input with this frame: the number of its interface less 1, its tag, the place of its type in the
    /// list of the target, and its bytes.
    fn with(&self, frame: &[u8], packet: &[u8]) -> Vec<u8> {
        let policy = [self.direction, self.excluded, 0, 1, self.links.len() as u8];
        let rules = [&[self.rules.len() as u8][..], self.rules.as_flattened()].concat();
        [&policy[..], &self.links.concat(), &rules, frame, packet].concat()
    }
}

const EGRESS: u8 = 0;
const INGRESS: u8 = 1;

#[test]
fn bpf_filter_seeds_have_every_part_of_the_program() {
    let ethernet = |ether_type: u16, payload: &[u8]| {
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &ether_type.to_be_bytes(), payload].concat()
    };
    let tcp = |flags: u8| [&[0, 80, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, 0x50][..], &[flags], &[0; 6]].concat();
    let ipv4 = |protocol: u8, payload: &[u8]| {
        let total = (20 + payload.len()) as u8;
        let header = [0x45, 0, 0, total, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        [&header[..], payload].concat()
    };
    let ipv6 = |next_header: u8, payload: &[u8]| {
        let header = [0x60, 0, 0, 0, 0, payload.len() as u8, next_header, 64];
        [&header[..], &[0xfd; 32], payload].concat()
    };
    // eth0 (1), guest1 with the VLAN 7 on eth0 (2), br2 (3), its ports eth3 and eth4, an ifb (6), wg (7), lo (8).
    let links = vec![
        vec![0, 0],
        vec![1, 2, 0, 7],
        vec![2, 0],
        vec![0, 1, 2],
        vec![0, 1, 2],
        vec![7, 0],
        vec![8, 0],
        vec![9, 0],
    ];
    let (plain, guest_excluded) = (0, 0b100);
    let scene =
        |direction, excluded| Scene { direction, excluded, links: links.clone(), rules: vec![[0, 5, 2]] };
    let auto = scene(0, plain);
    let mut seeds = Seeds::new();
    let mut add = |name: &str, input: Vec<u8>| seeds.insert(name.to_owned(), input);
    for (name, packet) in [
        ("syn", ethernet(0x0800, &ipv4(6, &tcp(2)))),
        ("ack", ethernet(0x0800, &ipv4(6, &tcp(16)))),
        ("udp", ethernet(0x0800, &ipv4(17, &[0; 8]))),
        ("syn_v6", ethernet(0x86dd, &ipv6(6, &tcp(2)))),
        ("icmp_v6", ethernet(0x86dd, &ipv6(58, &[128, 0, 0, 0]))),
        ("tagged", ethernet(0x8100, &[&[0, 7, 8, 0][..], &ipv4(6, &tcp(2))].concat())),
        ("older_tag", ethernet(0x9100, &[&[0, 7, 8, 0][..], &ipv4(6, &tcp(2))].concat())),
        ("llc", ethernet(48, &[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &ipv4(6, &tcp(2))].concat())),
        ("arp", ethernet(0x0806, &[0; 28])),
    ] {
        add(&format!("{name}_leaves"), auto.with(&[0, 0, EGRESS], &packet));
        add(&format!("{name}_enters"), auto.with(&[0, 0, INGRESS], &packet));
    }
    add("raw_leaves", auto.with(&[6, 0, EGRESS], &ipv4(6, &tcp(4))));
    add("lo_leaves", auto.with(&[7, 0, EGRESS], &ethernet(0x0800, &ipv4(17, &[0; 8]))));
    add("copy", auto.with(&[5, 0, INGRESS], &ethernet(0x0800, &ipv4(17, &[0; 8]))));
    add("unknown", auto.with(&[20, 0, INGRESS], &ethernet(0x0800, &ipv4(17, &[0; 8]))));
    let guest = scene(3, guest_excluded);
    let in_band = ethernet(0x8100, &[&[0, 7, 8, 0][..], &ipv4(17, &[0; 8])].concat());
    add("excluded_tag", guest.with(&[0, 0, INGRESS], &in_band));
    add("excluded_stripped", guest.with(&[0, 1, INGRESS, 7], &ethernet(0x0800, &ipv4(17, &[0; 8]))));
    add("many_vlans", {
        let links = (0..95).map(|id| if id == 0 { vec![0, 0] } else { vec![1, 2, 0, id] }).collect();
        Scene { direction: 3, excluded: guest_excluded, links, rules: vec![] }
            .with(&[0, 0, INGRESS], &in_band)
    });
    add("circle", {
        // Thirty devices of Open vSwitch that are ports of a bridge, which is a port of the same switch.
        let mut links = vec![vec![3, 1, 20]; 20];
        links.extend([vec![2, 1, 0], vec![1, 2, 0, 7]]);
        Scene { direction: 3, excluded: guest_excluded, links, rules: vec![] }
            .with(&[0, 0, INGRESS], &in_band)
    });
    compare_or_update("bpf_filter", &seeds);
}
