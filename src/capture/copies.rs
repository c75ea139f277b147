//! Finds the frames that `tc mirred` has sent to an interface and that were captured before, on the interface that they
//! came from.
//!
//! What a packet socket sees was tried on Linux 6.18, and agrees with `net/core/dev.c`. Entering frames pass the packet
//! sockets before the filters of traffic control, leaving frames after them:
//!
//! | filter at the source | action | seen on the source | seen on the target |
//! | --- | --- | --- | --- |
//! | ingress | to an ifb | entering | leaving; the ifb gives them back to the source, unseen |
//! | egress | to an ifb | leaving, when the ifb gives them back | leaving, before that |
//! | ingress | mirror or redirect to egress | entering | leaving |
//! | ingress | mirror or redirect to ingress | entering | entering |
//! | egress | mirror | leaving | leaving or entering |
//! | egress | redirect to egress | not at all | leaving |
//! | egress | redirect to ingress | not at all | entering |
//!
//! So all frames of an `ifb` are copies. On another target the copies cross in one direction, and they are skipped in
//! that direction; its other frames count as on any interface. Two redirections are no copies:
//!
//! * From ingress to egress (a bump in the wire), the frame is forwarded. It counts where it entered. On the target it
//!   is a leaving frame like any that this machine forwards: observed, and not counted unless the source is an own
//!   address.
//! * From egress to egress, the frame has only changed the interface by which it leaves.
//!
//! One from egress to ingress replaces the leaving frame. It counts only where leaving frames count.

use std::collections::HashMap;

use super::interfaces::Link;
use super::tc_filter::{MirredRule, Side};

/// For each kind of frames that `tc mirred` sends to one interface, the number of an interface that they come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copies {
    /// Copies that enter.
    pub(super) ingress: Option<u32>,
    /// Copies that leave.
    pub(super) egress: Option<u32>,
    /// Frames that enter here instead of leaving the source.
    pub(super) ingress_instead: Option<u32>,
    /// Frames that have entered the source and are passed on: they leave here.
    pub(super) passed_on: Option<u32>,
}

/// Returns the copies on each target of a rule. They are copies also if the source is excluded: who excludes an
/// interface does not want its frames counted on another one.
pub(super) fn find(rules: &[MirredRule], by_ifindex: &HashMap<u32, &Link>) -> HashMap<u32, Copies> {
    let mut copies: HashMap<u32, Copies> = HashMap::new();
    for &MirredRule { source, source_side, target, target_side, is_mirror } in rules {
        let (Some(from), Some(to)) = (by_ifindex.get(&source), by_ifindex.get(&target)) else { continue };
        let on_target = copies.entry(target).or_default();
        if is_ifb(to) {
            on_target.egress.get_or_insert(source);
            on_target.ingress.get_or_insert(source);
            continue;
        }
        // The frames of an ifb come from its own sources, by either of their sides.
        let entered = source_side == Side::Ingress || is_ifb(from);
        let place = match (target_side, is_mirror) {
            (Side::Egress, true) => &mut on_target.egress,
            (Side::Ingress, true) => &mut on_target.ingress,
            (Side::Egress, false) if entered => &mut on_target.passed_on,
            (Side::Egress, false) => continue,
            (Side::Ingress, false) if entered => &mut on_target.ingress,
            (Side::Ingress, false) => &mut on_target.ingress_instead,
        };
        place.get_or_insert(source);
    }
    copies
}

/// Returns true for an ifb, a device whose only frames are those that `tc mirred` sends to it.
pub(super) fn is_ifb(link: &Link) -> bool {
    link.kind.as_deref() == Some("ifb")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::interfaces::InterfaceName;
    use Side::{Egress, Ingress};

    /// wan is 1, span 2, ifb0 3, ifb1 4.
    fn found(rules: &[(u32, Side, u32, Side, bool)]) -> Vec<(u32, Copies)> {
        let link = |ifindex, name: &str| {
            let kind = name.starts_with("ifb").then(|| "ifb".to_owned());
            Link { kind, ..Link::alone(ifindex, InterfaceName::new(name), libc::ARPHRD_ETHER) }
        };
        let links = [link(1, "wan"), link(2, "span"), link(3, "ifb0"), link(4, "ifb1")];
        let by_ifindex = links.iter().map(|link| (link.ifindex, link)).collect();
        let rule = |&(source, source_side, target, target_side, is_mirror)| MirredRule {
            source,
            source_side,
            target,
            target_side,
            is_mirror,
        };
        let rules: Vec<_> = rules.iter().map(rule).collect();
        let copies = find(&rules, &by_ifindex);
        let mut copies: Vec<_> = copies.into_iter().collect();
        copies.sort_unstable_by_key(|&(ifindex, _)| ifindex);
        copies
    }

    #[test]
    fn copies_cross_the_target_in_the_direction_of_the_action() {
        let none = Copies::default();
        let wan = Some(1);
        let cases = [
            ((Ingress, Egress, true), Copies { egress: wan, ..none }),
            ((Egress, Egress, true), Copies { egress: wan, ..none }),
            ((Ingress, Ingress, true), Copies { ingress: wan, ..none }),
            ((Egress, Ingress, true), Copies { ingress: wan, ..none }),
            ((Ingress, Egress, false), Copies { passed_on: wan, ..none }),
            ((Egress, Egress, false), none),
            ((Ingress, Ingress, false), Copies { ingress: wan, ..none }),
            ((Egress, Ingress, false), Copies { ingress_instead: wan, ..none }),
        ];
        for ((source_side, target_side, is_mirror), expected) in cases {
            let rule = (1, source_side, 2, target_side, is_mirror);
            assert_eq!(found(&[rule]), [(2, expected)], "{rule:?}");
            let (source, to_ifb) = (Some(1), (1, source_side, 3, target_side, is_mirror));
            let all = Copies { ingress: source, egress: source, ..none };
            assert_eq!(found(&[to_ifb]), [(3, all)], "{to_ifb:?}");
        }
    }

    #[test]
    fn a_rule_about_an_interface_that_has_gone_is_ignored() {
        assert_eq!(found(&[(9, Ingress, 2, Egress, true), (1, Ingress, 9, Egress, true)]), []);
    }

    #[test]
    fn an_ifb_passes_on_the_frames_of_its_source() {
        let chain = [(1, Ingress, 3, Egress, false), (3, Egress, 4, Egress, false)];
        let targets: Vec<u32> = found(&chain).iter().map(|&(target, _)| target).collect();
        assert_eq!(targets, [3, 4]);
        let beyond = [(1, Egress, 3, Egress, false), (3, Egress, 2, Egress, false)];
        assert_eq!(found(&beyond)[0], (2, Copies { passed_on: Some(3), ..Copies::default() }));
    }
}
