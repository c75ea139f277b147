//! Streams of frames whose times are out of order, compared with the same frames in order.

use proptest::prelude::*;

use crate::alert::Alert;
use crate::packet::{Direction, LinkKind, Segmentation};
use crate::{alert, detect, flow};

use super::*;

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
const HOUR: u64 = 3600 * S;
/// 2026-09-21T14:13:20Z.
const START: u64 = 1_790_000_000 * S;
const INTERVAL_S: u64 = 60;
/// More bytes than this in the window exceed the limit.
const BYTES_MAX: u64 = 10_000;

/// The number of a host, the time at which it sent a packet, and the bytes of that.
type Sent = (u8, u64, u16);

/// Frames of a capture, each a whole IPv4 packet.
struct Frames(Vec<(u64, Vec<u8>)>);

impl Frames {
    fn of(sent: &[Sent]) -> Self {
        let frame = |&(host, at, bytes): &Sent| {
            let mut packet = vec![0; 20];
            [packet[0], packet[8], packet[9]] = [0x45, 64, 47];
            packet[2..4].copy_from_slice(&bytes.to_be_bytes());
            packet[12..20].copy_from_slice(&[10, 0, 0, host, 10, 9, 0, 1]);
            (at, packet)
        };
        Self(sent.iter().map(frame).collect())
    }
}

impl Batch for Frames {
    type Frames<'b> = std::vec::IntoIter<Frame<'b>>;

    fn frames(&self) -> Self::Frames<'_> {
        let frames = self.0.iter().map(|(at, bytes)| Frame {
            bytes,
            frame_len: u32::from(u16::from_be_bytes([bytes[2], bytes[3]])),
            seen_at: UnixNanos(*at),
            ifindex: 0,
            link: LinkKind::RawIp,
            direction: Direction::Ingress,
            segmentation: Segmentation::None,
        });
        frames.collect::<Vec<_>>().into_iter()
    }
}

fn rules() -> Rules {
    Rules {
        flow: flow::Options {
            traffic_interval: Duration::from_secs(INTERVAL_S),
            port_interval: None,
            chart_bytes_min: 0,
            group_ipv6: None,
            memory_bytes_max: 64 << 20,
        },
        detect: detect::Limits {
            hosts: detect::HostLimits::default().with(detect::FindingKind::Traffic, Some(BYTES_MAX)),
            ..Default::default()
        },
        alert: alert::Options::default(),
        direction: DirectionPolicy::Auto,
    }
}

/// Replays frames in batches of this length.
fn replayed(sent: &[Sent], batch_len: usize) -> Replayed {
    let mut stream = Stream::new(&rules(), true).expect("enough memory");
    let mut number = 0;
    for part in sent.chunks(batch_len) {
        stream.count_batch(&Frames::of(part), FramePlace { capture: 0, number });
        number += part.len() as u64;
    }
    let replayed = stream.finish();
    let packets = replayed.totals.as_ref().expect("they are kept").accounting().ip_packets;
    assert_eq!((replayed.accounting.frames, packets), (sent.len() as u64, sent.len() as u64));
    replayed
}

/// Replays frames that are in order as if there were no rule about times: each frame advances the time to its own.
fn replayed_in_order(sent: &[Sent]) -> Replayed {
    let mut stream = Stream::new(&rules(), true).expect("enough memory");
    let frames = Frames::of(sent);
    for frame in frames.frames() {
        stream.count(&frames, &frame, Moment(frame.seen_at.0));
    }
    stream.pipeline.finish(&mut stream.delta);
    stream.finish()
}

/// Returns the hosts that alerts are about, in the order of the alerts.
fn accused(replayed: &Replayed) -> Vec<String> {
    let source = |alert: &Alert| alert.source.map(|source| source.to_string());
    replayed.alerts.iter().filter_map(source).collect()
}

/// Ten minutes of three hosts that send often, but less than the limit in a window, and one that exceeds it for a
/// moment.
fn ten_minutes() -> Vec<Sent> {
    let steady = (0..1200_u64).map(|n| ((n % 3) as u8 + 1, START + n * 500 * MS, 200));
    let burst = (0..20_u64).map(|n| (9, START + 300 * S + n * 10 * MS + 1, 1000));
    let mut sent: Vec<Sent> = steady.chain(burst).collect();
    sent.sort_by_key(|&(_, at, _)| at);
    sent
}

fn set<const N: usize>(mut sent: Vec<Sent>, times: [(usize, u64); N]) -> Vec<Sent> {
    for (at, time) in times {
        sent[at].1 = time;
    }
    sent
}

#[test]
fn single_wrong_times_change_nothing_but_are_found() {
    let right = replayed(&ten_minutes(), 256);
    assert_eq!(accused(&right), ["10.0.0.9"]);
    assert_eq!(right.timing, TimingReport::default());
    let in_2038 = 2_147_483_647 * S;
    for wrong in [0, 1, in_2038, u64::MAX, START - HOUR, START + 24 * HOUR] {
        // One alone, several one after the other, every second one for a while.
        let sent = set(ten_minutes(), [(100, wrong)]);
        let sent = set(sent, [(200, wrong), (201, wrong + u64::from(wrong < in_2038)), (202, 7)]);
        let sent = set(sent, std::array::from_fn::<_, 100, _>(|n| (800 + 2 * n, wrong)));
        let replayed = replayed(&sent, 256);
        assert_eq!(replayed.alerts, right.alerts, "{wrong}");
        let found = replayed.timing.wrong_times;
        assert_eq!((found.count, found.first.number, found.value.0), (104, 101, wrong));
        assert_eq!(replayed.timing, TimingReport { wrong_times: found, ..TimingReport::default() });
        assert_eq!(replayed.time, right.time);
    }
}

#[test]
fn a_wrong_time_of_the_first_frames_is_not_believed() {
    let right = replayed(&ten_minutes(), 256);
    for wrong in [0, 2_147_483_647 * S] {
        let sent = set(ten_minutes(), [(0, wrong), (1, wrong), (2, wrong)]);
        let replayed = replayed(&sent, 256);
        assert_eq!(replayed.alerts, right.alerts, "{wrong}");
        assert_eq!(replayed.timing.wrong_times.count, 3);
        assert_eq!(replayed.time.map(|(first, _)| first.0), Some(START + 1500 * MS));
    }
}

#[test]
fn a_clock_that_is_set_back_and_right_again_moves_no_window() {
    let right = replayed(&ten_minutes(), 256);
    let set_back = |sent: &mut [Sent]| sent.iter_mut().for_each(|(_, at, _)| *at -= HOUR);
    let mut sent = ten_minutes();
    set_back(&mut sent[400..800]);
    let replayed = replayed(&sent, 256);
    assert_eq!(accused(&replayed), accused(&right));
    assert_eq!(replayed.timing.set_back.count, 1, "it is known when it is right again");
    assert_eq!(replayed.timing.set_back.first.number, 401);
    assert_eq!(replayed.timing.set_back.value.as_secs(), 3599);
    let lasted = |replayed: &Replayed| replayed.time.map(|(first, last)| last.0 - first.0);
    assert_eq!(lasted(&replayed), lasted(&right));
}

#[test]
fn a_clock_that_is_set_ahead_is_a_pause() {
    let mut sent = ten_minutes();
    sent[400..].iter_mut().for_each(|(_, at, _)| *at += 40 * 24 * HOUR);
    let replayed = replayed(&sent, 256);
    assert_eq!(accused(&replayed), ["10.0.0.9"]);
    assert_eq!(replayed.alerts, replayed_in_order(&sent).alerts);
    assert_eq!(replayed.timing.long_pauses.count, 1);
}

/// Two recorders whose clocks are an hour apart: their frames alternate, one by one or in longer runs.
#[test]
fn of_two_merged_clocks_one_gives_the_time() {
    for run in [1, 5, 50] {
        for offset in [HOUR as i64, -(HOUR as i64)] {
            let mut sent = ten_minutes();
            for (n, (_, at, _)) in sent.iter_mut().enumerate() {
                if n / run % 2 == 1 {
                    *at = at.wrapping_add_signed(offset);
                }
            }
            let replayed = replayed(&sent, 256);
            assert_eq!(accused(&replayed), ["10.0.0.9"], "runs of {run}");
            let lasted = replayed.time.map(|(first, last)| (last.0 - first.0) / S).expect("there are frames");
            // The first long run of a clock that is ahead is taken for a pause.
            let pause = if run > HELD_MAX && offset > 0 { 3600 } else { 0 };
            assert!((590..=601).contains(&(lasted - pause)), "runs of {run}: {lasted} s");
            assert_eq!(replayed.timing.unjudged_frames(), 0);
        }
    }
}

#[test]
fn frames_in_reverse_or_no_order_accuse_nobody() {
    let mut steady = ten_minutes();
    steady.retain(|&(host, ..)| host != 9);
    let in_seconds = steady.iter().map(|&(host, at, bytes)| (host, at / S * S, bytes)).collect();
    for sent in [steady.clone(), in_seconds] {
        let backwards: Vec<Sent> = sent.iter().rev().copied().collect();
        let reversed = replayed(&backwards, 256);
        assert_eq!(accused(&reversed), Vec::<String>::new());
        assert!(reversed.timing.backwards.count > 1100, "{:?}", reversed.timing);
        let lasted =
            reversed.time.map(|(first, last)| last.0 - first.0).expect("the first frames have a time");
        assert!(lasted <= 5 * S, "{lasted}");
    }
    let mixed: Vec<Sent> = (0..steady.len()).map(|n| steady[n * 467 % steady.len()]).collect();
    let mixed = replayed(&mixed, 256);
    assert_eq!(accused(&mixed), Vec::<String>::new());
    assert!(mixed.timing.unordered.count > 1000, "{:?}", mixed.timing);
    // A capture that runs forwards after one that runs backwards is judged.
    let both: Vec<Sent> = steady.iter().rev().chain(&ten_minutes()).copied().collect();
    assert_eq!(accused(&replayed(&both, 256)), ["10.0.0.9"]);
}

/// Hosts that send, and the time since the frame before: mostly short, sometimes long.
fn in_order() -> impl Strategy<Value = Vec<Sent>> {
    let gap = prop_oneof![
        8 => 0..300 * MS,
        1 => 0..20 * S,
        1 => 0..10 * HOUR,
    ];
    proptest::collection::vec((0..4_u8, gap, 20..4000_u16), 1..400).prop_map(|sent| {
        let mut at = START;
        let next = |(host, gap, bytes)| {
            at += gap;
            (host, at, bytes)
        };
        sent.into_iter().map(next).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn captures_in_order_are_replayed_with_their_own_times(sent in in_order(), batch_len in 1..300_usize) {
        let (new, plain) = (replayed(&sent, batch_len), replayed_in_order(&sent));
        prop_assert_eq!(new.alerts, plain.alerts);
        prop_assert_eq!(new.accounting, plain.accounting);
        prop_assert_eq!(new.time, plain.time);
        prop_assert_eq!(new.timing, TimingReport::default());
    }

    #[test]
    fn elapsed_time_never_goes_back_and_every_frame_is_counted(
        times in proptest::collection::vec(
            prop_oneof![
                Just(0), Just(u64::MAX), any::<u64>(), (0..HOUR).prop_map(|at| START + at),
                (0..10 * S).prop_map(|at| START + at), (0..10 * S).prop_map(|at| START - HOUR + at),
            ],
            1..200,
        ),
        repeated in 1..20_usize,
    ) {
        let times = times.iter().flat_map(|&at| (0..repeated as u64).map(move |n| at.saturating_add(n * MS)));
        let mut stream = Stream::new(&rules(), true).expect("enough memory");
        let (mut latest, mut count) = (None, 0);
        for at in times {
            stream.count_batch(&Frames::of(&[(1, at, 20)]), FramePlace { capture: 0, number: count });
            count += 1;
            prop_assert!(stream.clock.now() >= latest, "{at}");
            prop_assert!(stream.held.len() <= HELD_MAX);
            latest = stream.clock.now();
        }
        let replayed = stream.finish();
        prop_assert_eq!(replayed.accounting.frames, count);
        prop_assert_eq!(replayed.accounting.ip_packets, count);
    }

    /// The clock is set back at any frame by any time. The alerts are those of a capture whose clock was not set, in
    /// which the frame at the step comes at once after the one before.
    #[test]
    fn a_constant_offset_in_the_middle_changes_no_alert(
        set_at in 30..1180_usize,
        offset in 6 * S..1_000_000 * S,
        batch_len in 1..300_usize,
    ) {
        let mut straight = ten_minutes();
        let gap = straight[set_at].1 - straight[set_at - 1].1;
        straight[set_at..].iter_mut().for_each(|(_, at, _)| *at -= gap);
        let mut set_back = straight.clone();
        set_back[set_at..].iter_mut().for_each(|(_, at, _)| *at -= offset);
        let (expected, found) = (replayed(&straight, batch_len), replayed(&set_back, batch_len));
        prop_assert_eq!(found.alerts, expected.alerts);
        prop_assert_eq!(found.time, expected.time);
        prop_assert_eq!(found.timing.set_back.count, 1);
    }

    #[test]
    fn reordering_within_five_seconds_changes_no_outcome(
        lateness in proptest::collection::vec(0..5 * S, 1220),
        offset in prop_oneof![Just(0), Just(HOUR)],
    ) {
        let mut sent: Vec<(u64, Sent)> = ten_minutes().into_iter().zip(lateness).map(|(sent, late)| (sent.1 + late, sent)).collect();
        sent.sort_by_key(|&(at, _)| at);
        let set_back = |(n, (_, (host, at, bytes))): (usize, (u64, Sent))| {
            (host, if n < 700 { at } else { at - offset }, bytes)
        };
        let sent: Vec<Sent> = sent.into_iter().enumerate().map(set_back).collect();
        let replayed = replayed(&sent, 256);
        prop_assert_eq!(accused(&replayed), ["10.0.0.9"]);
        prop_assert_eq!(replayed.timing.unjudged_frames(), 0);
    }
}
