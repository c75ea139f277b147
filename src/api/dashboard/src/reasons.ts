// Why a frame or an interface is not counted, in words. A reason of a newer server is shown by its name.

const FRAMES: Readonly<Record<string, string>> = {
  not_ip: "not IP, such as ARP, spanning tree or LLDP",
  unsupported_link: "link type that is not known here",
  link_truncated: "link header cut off",
  mpls_pseudowire: "MPLS without an IP packet below it",
  link_too_deep: "more nested tags or labels than any network uses",
  ip_truncated: "malformed IP, header cut off",
  ip_version: "malformed IP, another version than announced",
  ip_header_length: "malformed IP, header shorter than 20 bytes",
  ip_total_length: "malformed IP, packet shorter than its header",
  leaving: "leaving, where only entering packets count",
  excluded_interface: "on an excluded interface",
  upper_device: "on an upper device, counted on the device below",
  internal_wire: "on a veth pair inside this host",
  other_station: "for another station, where neither Promiscuous nor a bridge asks for it",
  pppoe_terminated_here: "in a PPPoE session that ends here, counted on its PPP interface",
  unknown_interface: "on an interface that was gone before its name was known",
  ring_corrupt: "described wrongly by the ring itself",
};

const INTERFACES: Readonly<Record<string, string>> = {
  excluded_interface: "excluded by the configuration",
  upper_device: "upper device: its packets are counted on the device below",
  internal_wire: "wire inside: both ends of this veth pair are on this host",
};

export function whyFramesAreSkipped(reason: string): string {
  return FRAMES[reason] ?? reason.replaceAll("_", " ");
}

export function whyNotMonitored(reason: string): string {
  return INTERFACES[reason] ?? whyFramesAreSkipped(reason);
}
