//! Frames for other stations are no traffic of this host, unless a device above an interface has the address.

use std::net::Ipv4Addr;

use crate::support::exactly::{TEN_MILLION, send_exactly, take, wait_for_ten_million};
use crate::support::host::{Host, Sum};
use crate::support::injector::frame_from;
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal};

const FAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ABOVE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

/// Returns a packet of 1000 bytes from [`SOURCE`] in a frame for a station.
fn frame_for(station: [u8; 6]) -> Vec<u8> {
    let mut frame = frame_from(SOURCE);
    frame[..6].copy_from_slice(&station);
    frame
}

/// Makes a host with the interface eth0, and the host at the other end of its wire, which has the address [`FAR`].
fn pair() -> (Host, Host) {
    let (host, far) = (Host::new(), Host::new());
    host.plug("eth0", &far, "far0");
    far.ip(&format!("addr add {FAR}/24 dev far0"));
    (host, far)
}

#[test]
fn frames_for_another_station_are_skipped_unless_the_interface_is_in_promiscuous() {
    const STATION: [u8; 6] = [2, 9, 9, 9, 9, 9];
    inside(|| {
        let (host, far) = pair();
        let wire = far.injector("far0");
        let program = Program::start(&host, EVERY_HOST);
        (0..100).for_each(|_| wire.send(&frame_for(STATION)));
        // The last frame is for every station.
        let everybody = Ipv4Addr::new(10, 1, 0, 2);
        wire.send(&frame_from(everybody));
        program.wait_for_bytes(everybody, 1000);
        let accounting = program.wait_for_counted(Sum { packets: 1, bytes: 1000 });
        assert_eq!(accounting.skipped, [("other_station".to_owned(), 100)].into());
        assert_eq!(accounting.interface("eth0").entering.skipped.get("other_station"), Some(&100));
        assert_eq!(program.bytes_of(SOURCE.into()), 0);

        program.reload(&format!("{EVERY_HOST}Promiscuous: eth?\n"));
        let in_promiscuous = |program: &Program| {
            wire.send(&frame_for(STATION));
            program.bytes_of(SOURCE.into())
        };
        program.wait_for("they count", in_promiscuous, |&bytes| bytes > 0);
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

#[test]
fn a_container_with_a_macvlan_is_counted_though_its_device_is_elsewhere() {
    inside(|| {
        let (host, far) = pair();
        let container = Host::new();
        let program = Program::start(&host, EVERY_HOST);
        // The kernel reports no change to this host when the device is set up in the container.
        host.ip("link add link eth0 name mv0 type macvlan mode bridge");
        host.ip(&format!("link set mv0 netns {}", container.path()));
        container.ip(&format!("addr add {ABOVE}/24 dev mv0"));
        container.ip("link set mv0 up");
        let _takers = [take(&container, ABOVE), take(&far, FAR)];
        send_exactly(&far, FAR, ABOVE);
        send_exactly(&container, ABOVE, FAR);
        wait_for_ten_million(&program, "container", &[FAR.into(), ABOVE.into()]);
        let both = TEN_MILLION.and(TEN_MILLION);
        program.wait_for_counted(both);
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), both);
    });
}

#[test]
fn a_macvlan_of_vrrp_is_counted_on_the_device_below() {
    inside(|| {
        let (host, far) = pair();
        host.ip("link add link eth0 name vrrp.51 address 00:00:5e:00:01:33 type macvlan mode private");
        host.ip(&format!("addr add {ABOVE}/24 dev vrrp.51"));
        host.ip("link set vrrp.51 up");
        let _taker = take(&host, ABOVE);
        let program = Program::start(&host, EVERY_HOST);
        send_exactly(&far, FAR, ABOVE);
        wait_for_ten_million(&program, "VRRP", &[FAR.into()]);
        program.wait_for_counted(TEN_MILLION);
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), TEN_MILLION);
    });
}

#[test]
fn a_macvtap_and_an_address_in_the_list_of_the_interface_are_stations_above() {
    const MACVTAP: [u8; 6] = [2, 0, 0, 0, 0, 0x70];
    const LISTED: [u8; 6] = [2, 0, 0, 0, 0, 0x71];
    const STRANGER: [u8; 6] = [2, 0, 0, 0, 0, 0x72];
    inside(|| {
        let (host, far) = pair();
        host.ip("link add link eth0 name macvtap0 address 02:00:00:00:00:70 type macvtap mode vepa");
        host.ip("link set macvtap0 up");
        host.ip("link add link eth0 name listed0 address 02:00:00:00:00:71 type macvlan mode vepa");
        let elsewhere = Host::new();
        host.ip(&format!("link set listed0 netns {}", elsewhere.path()));
        elsewhere.ip("link set listed0 up");
        let program = Program::start(&host, EVERY_HOST);
        let wire = far.injector("far0");
        for (station, frames) in [(MACVTAP, 3), (STRANGER, 5), (LISTED, 4), (STRANGER, 5)] {
            (0..frames).for_each(|_| wire.send(&frame_for(station)));
        }
        program.wait_for_bytes(SOURCE, 7_000);
        let accounting = program.wait_for_counted(Sum { packets: 7, bytes: 7_000 });
        assert_eq!(accounting.skipped.get("other_station"), Some(&10), "{accounting:?}");

        // Without the device, its frames are for another station as soon as the list is read again.
        elsewhere.ip("link del listed0");
        let skipped = |program: &Program| {
            wire.send(&frame_for(LISTED));
            program.accounting().skipped.get("other_station").copied()
        };
        program.wait_for("frames of the former device are skipped", skipped, |&skipped| skipped > Some(10));
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}
