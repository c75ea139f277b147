//! The link types of capture files: which are decoded, and the names of others that people meet.
//!
//! Source: tcpdump.org/linktypes.html.

use crate::packet::LinkKind;

/// Returns the kind of link header for the `LINKTYPE_*` number of a capture file.
pub(super) fn link_kind(link_type: u16) -> LinkKind {
    match link_type {
        0 | 108 => LinkKind::BsdLoopback,
        1 => LinkKind::Ethernet,
        9 | 50 => LinkKind::Ppp,
        // 101 is raw IP. Some systems write 12 or 14, their own DLT numbers of raw IP, by mistake.
        12 | 14 | 101 => LinkKind::RawIp,
        51 => LinkKind::PppoeSession,
        104 => LinkKind::CiscoHdlc,
        113 => LinkKind::LinuxSll,
        228 => LinkKind::Ipv4,
        229 => LinkKind::Ipv6,
        239 => LinkKind::Nflog,
        276 => LinkKind::LinuxSll2,
        other => LinkKind::Unsupported(other),
    }
}

/// Returns the name of a link type without `LINKTYPE_`; `None` if it is not in the list.
pub(super) fn name(link_type: u16) -> Option<&'static str> {
    if (147..=162).contains(&link_type) {
        return Some("USER, private use");
    }
    let at = NAMES.binary_search_by_key(&link_type, |&(number, _)| number).ok()?;
    NAMES.get(at).map(|&(_, name)| name)
}

/// Numbers and names, in ascending order of the numbers.
const NAMES: &[(u16, &str)] = &[
    (0, "NULL"),
    (1, "ETHERNET"),
    (3, "AX25"),
    (6, "IEEE802_5"),
    (7, "ARCNET_BSD"),
    (8, "SLIP"),
    (9, "PPP"),
    (10, "FDDI"),
    (50, "PPP_HDLC"),
    (51, "PPP_ETHER"),
    (99, "SYMANTEC_FIREWALL"),
    (100, "ATM_RFC1483"),
    (101, "RAW"),
    (104, "C_HDLC"),
    (105, "IEEE802_11"),
    (107, "FRELAY"),
    (108, "LOOP"),
    (113, "LINUX_SLL"),
    (114, "LTALK"),
    (117, "PFLOG"),
    (119, "IEEE802_11_PRISM"),
    (122, "IP_OVER_FC"),
    (123, "SUNATM"),
    (127, "IEEE802_11_RADIOTAP"),
    (129, "ARCNET_LINUX"),
    (138, "APPLE_IP_OVER_IEEE1394"),
    (139, "MTP2_WITH_PHDR"),
    (140, "MTP2"),
    (141, "MTP3"),
    (142, "SCCP"),
    (143, "DOCSIS"),
    (144, "LINUX_IRDA"),
    (163, "IEEE802_11_AVS"),
    (165, "BACNET_MS_TP"),
    (166, "PPP_PPPD"),
    (169, "GPRS_LLC"),
    (177, "LINUX_LAPD"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (192, "PPI"),
    (195, "IEEE802_15_4_WITHFCS"),
    (196, "SITA"),
    (197, "ERF"),
    (199, "AX25_KISS"),
    (201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    (203, "LAPD"),
    (204, "PPP_WITH_DIR"),
    (205, "C_HDLC_WITH_DIR"),
    (206, "FRELAY_WITH_DIR"),
    (209, "IPMB_LINUX"),
    (210, "FLEXRAY"),
    (212, "LIN"),
    (215, "IEEE802_15_4_NONASK_PHY"),
    (216, "LINUX_EVDEV"),
    (220, "USB_LINUX_MMAPPED"),
    (224, "FC_2"),
    (226, "IPNET"),
    (227, "CAN_SOCKETCAN"),
    (228, "IPV4"),
    (229, "IPV6"),
    (230, "IEEE802_15_4_NOFCS"),
    (231, "DBUS"),
    (235, "DVB_CI"),
    (237, "MUX27010"),
    (239, "NFLOG"),
    (240, "NETANALYZER"),
    (241, "NETANALYZER_TRANSPARENT"),
    (242, "IPOIB"),
    (243, "MPEG_2_TS"),
    (245, "NFC_LLCP"),
    (247, "INFINIBAND"),
    (248, "SCTP"),
    (249, "USBPCAP"),
    (251, "BLUETOOTH_LE_LL"),
    (252, "WIRESHARK_UPPER_PDU"),
    (253, "NETLINK"),
    (254, "BLUETOOTH_LINUX_MONITOR"),
    (256, "BLUETOOTH_LE_LL_WITH_PHDR"),
    (258, "PKTAP"),
    (259, "EPON"),
    (264, "ISO_14443"),
    (265, "RDS"),
    (266, "USB_DARWIN"),
    (271, "VSOCK"),
    (272, "NORDIC_BLE"),
    (273, "DOCSIS31_XRA31"),
    (274, "ETHERNET_MPACKET"),
    (276, "LINUX_SLL2"),
    (278, "OPENVIZSLA"),
    (281, "DSA_TAG_BRCM"),
    (282, "DSA_TAG_BRCM_PREPEND"),
    (283, "IEEE802_15_4_TAP"),
    (284, "DSA_TAG_DSA"),
    (285, "DSA_TAG_EDSA"),
    (286, "ELEE"),
    (288, "USB_2_0"),
    (289, "ATSC_ALP"),
    (290, "ETW"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_number() {
        assert!(NAMES.is_sorted_by_key(|&(number, _)| number));
        assert_eq!(NAMES.iter().filter(|&&(number, text)| name(number) == Some(text)).count(), NAMES.len());
        assert_eq!((name(2), name(147), name(162)), (None, name(150), name(150)));
    }
}
