//! Parses the filters of traffic control, and finds the actions in them that send frames to other interfaces
//! (`mirred`).
//!
//! A filter has its actions in an attribute whose number depends on the kind of the filter. Up to 32 actions follow
//! each other, of which any may be a mirred action.
//!
//! Sources: `include/uapi/linux/{rtnetlink,pkt_cls}.h`, `include/uapi/linux/tc_act/tc_mirred.h`.

use super::netlink::attributes;

/// One action that sends frames of an interface to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MirredRule {
    /// Number of the interface with the filter.
    pub(super) source: u32,
    /// The frames of the source that the filter sees.
    pub(super) source_side: Side,
    /// Number of the interface that gets the frames.
    pub(super) target: u32,
    /// The way in which they cross the target.
    pub(super) target_side: Side,
    /// True if the target gets copies and the frames themselves go on (`mirror`), false if the frames go to the target
    /// alone (`redirect`).
    pub(super) is_mirror: bool,
}

/// A direction in which frames cross an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// Frames that enter.
    Ingress,
    /// Frames that leave.
    Egress,
}

/// An interface that shares a block of filters with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockMember {
    /// Number of the block.
    pub(super) block: u32,
    /// Number of the interface.
    pub(super) ifindex: u32,
}

/// The frames that a filter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilterSource {
    pub(super) ifindex: u32,
    pub(super) side: Side,
}

/// Adds the rules of one filter.
pub(super) fn parse_filter(
    body: &[u8],
    source: FilterSource,
    blocks: &[BlockMember],
    rules: &mut Vec<MirredRule>,
) -> Result<(), String> {
    TcHeader::parse(body)?;
    let (mut kind, mut options) = (Vec::new(), Vec::new());
    for attribute in attributes(body, TC_HEADER_BYTES) {
        let attribute = attribute?;
        match attribute.kind() {
            libc::TCA_KIND => kind = without_nul(attribute.value()).to_vec(),
            libc::TCA_OPTIONS => options = attribute.value().to_vec(),
            _ => {}
        }
    }
    let Some(actions_kind) = actions_attribute(&kind) else { return Ok(()) };
    for attribute in attributes(&options, 0) {
        let attribute = attribute?;
        if attribute.kind() == actions_kind {
            // One attribute for each action, numbered from 1 in the order of execution.
            for action in attributes(attribute.value(), 0) {
                let Some(mirred) = parse_action(action?.value())? else { continue };
                mirred.add_rules(source, blocks, rules);
            }
        }
    }
    Ok(())
}

/// Returns the attribute with the actions of a filter of this kind (`TCA_*_ACT` of pkt_cls.h); `None` for a kind that
/// has no actions or that this program does not know.
fn actions_attribute(filter_kind: &[u8]) -> Option<u16> {
    Some(match filter_kind {
        b"bpf" | b"cgroup" => 1,
        b"matchall" => 2,
        b"flower" | b"basic" => 3,
        b"fw" => 4,
        b"route" | b"rsvp" | b"rsvp6" => 6,
        b"u32" | b"tcindex" => 7,
        b"flow" => 9,
        _ => return None,
    })
}

/// The parameters of a mirred action.
#[derive(Debug, PartialEq, Eq)]
struct Mirred {
    side: Side,
    is_mirror: bool,
    /// The target; 0 if the action has a block as its target.
    ifindex: u32,
    /// The block whose interfaces are the targets, except the source itself (Linux 6.8).
    block: Option<u32>,
}

impl Mirred {
    fn add_rules(&self, source: FilterSource, blocks: &[BlockMember], rules: &mut Vec<MirredRule>) {
        let rule = |target| MirredRule {
            source: source.ifindex,
            source_side: source.side,
            target,
            target_side: self.side,
            is_mirror: self.is_mirror,
        };
        match self.block {
            Some(block) => {
                let members = blocks.iter().filter(|member| member.block == block);
                let others =
                    members.map(|member| member.ifindex).filter(|&ifindex| ifindex != source.ifindex);
                rules.extend(others.map(rule));
            }
            None => rules.push(rule(self.ifindex)),
        }
    }
}

/// Parses one action; `None` if it is not a mirred action.
fn parse_action(body: &[u8]) -> Result<Option<Mirred>, String> {
    let (mut is_mirred, mut options) = (false, Vec::new());
    for attribute in attributes(body, 0) {
        let attribute = attribute?;
        match attribute.kind() {
            TCA_ACT_KIND => is_mirred = without_nul(attribute.value()) == b"mirred",
            TCA_ACT_OPTIONS => options = attribute.value().to_vec(),
            _ => {}
        }
    }
    if !is_mirred {
        return Ok(None);
    }
    let (mut parameters, mut block) = (None, None);
    for attribute in attributes(&options, 0) {
        let attribute = attribute?;
        match attribute.kind() {
            TCA_MIRRED_PARMS => {
                // `struct tc_mirred`: five numbers of all actions (`tc_gen`), what is done, and the target.
                let body: &[u8; 28] = attribute.value().first_chunk().ok_or("a cut mirred action")?;
                let (_, [d0, d1, d2, d3, target @ ..]) = body.split_at(20) else {
                    return Err("a cut mirred action".to_owned());
                };
                let target = <[u8; 4]>::try_from(target).map_err(|error| error.to_string())?;
                parameters = Some((u32::from_ne_bytes([*d0, *d1, *d2, *d3]), u32::from_ne_bytes(target)));
            }
            TCA_MIRRED_BLOCKID => block = number(attribute.value()).filter(|&block| block != 0),
            _ => {}
        }
    }
    let Some((what, ifindex)) = parameters else { return Ok(None) };
    let (side, is_mirror) = match what {
        TCA_EGRESS_REDIR => (Side::Egress, false),
        TCA_EGRESS_MIRROR => (Side::Egress, true),
        TCA_INGRESS_REDIR => (Side::Ingress, false),
        TCA_INGRESS_MIRROR => (Side::Ingress, true),
        _ => return Ok(None),
    };
    Ok(Some(Mirred { side, is_mirror, ifindex, block }))
}

/// The fixed header of messages of traffic control (`struct tcmsg`).
pub(super) struct TcHeader {
    pub(super) ifindex: u32,
    pub(super) handle: u32,
    pub(super) parent: u32,
}

impl TcHeader {
    /// Reads the header; attributes follow after [`TC_HEADER_BYTES`].
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let header: &[u8; TC_HEADER_BYTES] = body.first_chunk().ok_or("a tc message without its header")?;
        let (words, _) = header.as_chunks::<4>();
        let &[_, ifindex, handle, parent, _] = words else {
            return Err("a tc message without its header".to_owned());
        };
        let [ifindex, handle, parent] = [ifindex, handle, parent].map(u32::from_ne_bytes);
        Ok(Self { ifindex, handle, parent })
    }
}

/// Reads the number in an attribute.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|&bytes| u32::from_ne_bytes(bytes))
}

/// Returns a text without the NUL at its end.
pub(super) fn without_nul(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(&[0]).unwrap_or(bytes)
}

/// Bytes of a `struct tcmsg`.
pub(super) const TC_HEADER_BYTES: usize = 20;
// include/uapi/linux/pkt_cls.h, tc_act/tc_mirred.h; libc lacks these.
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TCA_MIRRED_BLOCKID: u16 = 4;
const TCA_EGRESS_REDIR: u32 = 1;
const TCA_EGRESS_MIRROR: u32 = 2;
const TCA_INGRESS_REDIR: u32 = 3;
const TCA_INGRESS_MIRROR: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::netlink::sample::attribute;

    fn mirred(what: u32, target: u32, block: Option<u32>) -> Vec<u8> {
        let words = [1, 0, 4, 1, 1, what, target].map(u32::to_ne_bytes);
        let mut options = attribute(TCA_MIRRED_PARMS, words.as_flattened());
        options.extend(
            block.map(|block| attribute(TCA_MIRRED_BLOCKID, &block.to_ne_bytes())).unwrap_or_default(),
        );
        [attribute(TCA_ACT_KIND, b"mirred\0"), attribute(TCA_ACT_OPTIONS, &options)].concat()
    }

    fn other_action() -> Vec<u8> {
        [attribute(TCA_ACT_KIND, b"skbedit\0"), attribute(TCA_ACT_OPTIONS, &attribute(2, &[0; 28]))].concat()
    }

    fn filter(kind: &str, actions_kind: u16, actions: &[Vec<u8>]) -> Vec<u8> {
        let numbered: Vec<u8> =
            (1..).zip(actions).flat_map(|(number, action)| attribute(number, action)).collect();
        let mut message = vec![0; TC_HEADER_BYTES];
        message.extend(attribute(libc::TCA_KIND, format!("{kind}\0").as_bytes()));
        // Another attribute first, which has other numbers inside.
        let options = [attribute(20, &[0; 8]), attribute(actions_kind, &numbered)].concat();
        // `NLA_F_NESTED`, which newer kernels set.
        message.extend(attribute(libc::TCA_OPTIONS | 0x8000, &options));
        message
    }

    fn rules(message: &[u8], blocks: &[BlockMember]) -> Result<Vec<(u32, Side, bool)>, String> {
        let mut rules = Vec::new();
        parse_filter(message, FilterSource { ifindex: 7, side: Side::Ingress }, blocks, &mut rules)?;
        assert!(rules.iter().all(|rule| rule.source == 7 && rule.source_side == Side::Ingress));
        Ok(rules.iter().map(|rule| (rule.target, rule.target_side, rule.is_mirror)).collect())
    }

    #[test]
    fn the_target_is_found_in_filters_of_every_kind() {
        let kinds = [
            ("bpf", 1),
            ("cgroup", 1),
            ("matchall", 2),
            ("flower", 3),
            ("basic", 3),
            ("fw", 4),
            ("route", 6),
            ("u32", 7),
            ("tcindex", 7),
            ("flow", 9),
        ];
        for (kind, actions_kind) in kinds {
            let message = filter(kind, actions_kind, &[mirred(TCA_EGRESS_REDIR, 9, None)]);
            assert_eq!(rules(&message, &[]), Ok(vec![(9, Side::Egress, false)]), "{kind}");
        }
        assert_eq!(rules(&filter("later", 3, &[mirred(1, 9, None)]), &[]), Ok(vec![]));
    }

    #[test]
    fn every_action_of_a_filter_is_read() {
        let mut actions = vec![other_action(); 30];
        actions.push(mirred(TCA_INGRESS_MIRROR, 4, None));
        actions.push(mirred(TCA_EGRESS_MIRROR, 5, None));
        let expected = vec![(4, Side::Ingress, true), (5, Side::Egress, true)];
        assert_eq!(rules(&filter("u32", 7, &actions), &[]), Ok(expected));
        let one = |what| rules(&filter("u32", 7, &[mirred(what, 4, None)]), &[]);
        assert_eq!(one(TCA_INGRESS_REDIR), Ok(vec![(4, Side::Ingress, false)]));
        assert_eq!(one(99), Ok(vec![]), "a later kernel may do something else");
    }

    #[test]
    fn a_block_stands_for_its_other_interfaces() {
        let blocks = [(22, 7), (22, 8), (21, 9), (22, 9), (21, 10)]
            .map(|(block, ifindex)| BlockMember { block, ifindex });
        let message = filter("flower", 3, &[mirred(TCA_EGRESS_MIRROR, 0, Some(22))]);
        let expected = vec![(8, Side::Egress, true), (9, Side::Egress, true)];
        assert_eq!(rules(&message, &blocks), Ok(expected));
    }

    #[test]
    fn a_cut_message_is_an_error() {
        let message = filter("u32", 7, &[mirred(1, 9, None)]);
        assert!(rules(&message[..12], &[]).is_err());
        assert!(rules(&message[..message.len() - 4], &[]).is_err());
        assert!(
            parse_action(&[attribute(1, b"mirred\0"), attribute(2, &attribute(2, &[0; 20]))].concat())
                .is_err()
        );
    }
}
