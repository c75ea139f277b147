//! Warns of interfaces whose ingress frames are not counted, because a filter of tc makes copies enter there.
//!
//! Copies that enter an interface cannot be told from the frames that it receives. On an ifb all frames are copies, but
//! another target of `action mirred ingress` may receive frames of its own, which are skipped too.

use std::collections::HashSet;

use super::device_hierarchy::DeviceHierarchy;
use super::interfaces::{Interfaces, Link};
use super::policy::Policy;
use super::source::Verdict;
use super::verdict_table::VerdictTable;
use crate::packet::{Direction, Skip};

/// The interfaces that were warned of.
#[derive(Debug, Default)]
pub(super) struct CopyWarnings(HashSet<u32>);

impl CopyWarnings {
    /// Returns one sentence for each interface whose ingress frames are not counted because of copies, unless an
    /// earlier call has returned it. `table` is that of these interfaces and this policy.
    pub(super) fn take(
        &mut self,
        interfaces: &Interfaces,
        policy: &Policy,
        table: &VerdictTable,
    ) -> Vec<String> {
        self.0.retain(|&ifindex| table.has(ifindex));
        if interfaces.mirred.is_empty() {
            return Vec::new();
        }
        let device_hierarchy = DeviceHierarchy::new(interfaces, policy);
        let mut sentences = Vec::new();
        for link in &interfaces.links {
            let Some(source) = source_of_copies(link, &device_hierarchy, table) else { continue };
            if self.0.insert(link.ifindex) {
                sentences.push(sentence(link, source));
            }
        }
        sentences
    }
}

/// Returns the interface whose filter makes copies enter `link`, if its ingress frames are skipped for that reason.
fn source_of_copies<'a>(
    link: &Link,
    device_hierarchy: &DeviceHierarchy<'a>,
    table: &VerdictTable,
) -> Option<&'a Link> {
    let is_skipped =
        table.verdict(link.ifindex, Direction::Ingress) == Some(Verdict::Skip(Skip::UpperDevice));
    // If the whole device is skipped, its frames count elsewhere.
    if !is_skipped || device_hierarchy.skip(link).is_some() {
        return None;
    }
    let copies = device_hierarchy.copies(link);
    device_hierarchy.link(copies.ingress.or(copies.ingress_instead)?)
}

fn sentence(target: &Link, source: &Link) -> String {
    let (target, source) = (&target.name, &source.name);
    format!(
        "entering frames of {target} are not counted, since a tc filter on {source} (mirred) makes frames enter \
         {target} that cannot be told from those that {target} receives. Let the filter send them to an ifb instead"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::interfaces::InterfaceName;
    use crate::capture::options::DirectionPolicy;
    use crate::capture::tc_filter::{MirredRule, Side};

    /// wan0 is 1, lan0 2, ifb0 3, the VLAN lan0.5 4.
    fn interfaces(rules: &[(u32, Side, u32, Side, bool)]) -> Interfaces {
        let link = |ifindex, name: &str, kind: &str| {
            let kind = (!kind.is_empty()).then(|| kind.to_owned());
            Link { kind, ..Link::alone(ifindex, InterfaceName::new(name), libc::ARPHRD_ETHER) }
        };
        let vlan = Link { lower: Some(2), ..link(4, "lan0.5", "vlan") };
        let links = vec![link(1, "wan0", ""), link(2, "lan0", ""), link(3, "ifb0", "ifb"), vlan];
        let rule = |&(source, source_side, target, target_side, is_mirror)| MirredRule {
            source,
            source_side,
            target,
            target_side,
            is_mirror,
        };
        Interfaces { links, mirred: rules.iter().map(rule).collect(), ..Interfaces::default() }
    }

    fn take(warnings: &mut CopyWarnings, interfaces: &Interfaces, direction: DirectionPolicy) -> Vec<String> {
        let policy = Policy { direction, ..Policy::default() };
        warnings.take(interfaces, &policy, &VerdictTable::new(interfaces, &policy))
    }

    #[test]
    fn a_target_whose_own_frames_are_lost_is_said_once() {
        use Side::{Egress, Ingress};
        let with = interfaces(&[(1, Ingress, 2, Ingress, false)]);
        let without = interfaces(&[]);
        let mut warnings = CopyWarnings::default();
        let mut said = |interfaces: &Interfaces| take(&mut warnings, interfaces, DirectionPolicy::Both);
        assert_eq!(said(&without), [""; 0]);
        let sentences = said(&with);
        let [sentence] = &sentences[..] else { panic!("{sentences:?}") };
        let expected = "entering frames of lan0 are not counted, since a tc filter on wan0 (mirred)";
        assert!(sentence.starts_with(expected), "{sentence}");
        assert_eq!(said(&with), [""; 0]);
        said(&without);
        assert_eq!(said(&with), [""; 0], "a shaper that sets its filters again is not said again");
        said(&Interfaces::default());
        assert_eq!(said(&with).len(), 1, "the interface was removed in between");

        let is_said =
            |rule, direction| !take(&mut CopyWarnings::default(), &interfaces(&[rule]), direction).is_empty();
        let cases = [
            ("a mirror to ingress", (1, Egress, 2, Ingress, true), [true, true]),
            ("frames that enter instead of leaving", (1, Egress, 2, Ingress, false), [false, true]),
            ("a mirror to egress", (1, Ingress, 2, Egress, true), [false, false]),
            ("an ifb", (1, Ingress, 3, Ingress, false), [false, false]),
            ("an upper device", (1, Ingress, 4, Ingress, false), [false, false]),
        ];
        for (name, rule, expected) in cases {
            let directions = [DirectionPolicy::Both, DirectionPolicy::In];
            assert_eq!(directions.map(|direction| is_said(rule, direction)), expected, "{name}");
        }
    }
}
