//! The pairs of the packets, and the packets themselves.

use clap::ValueEnum;

/// The number of pairs, and how packets are spread over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub(crate) struct Load {
    /// Pairs of source and destination.
    #[arg(long)]
    pub(crate) pairs: u32,
    /// Sources, among which the pairs are divided.
    #[arg(long)]
    pub(crate) sources: u32,
    /// How packets are spread over the pairs.
    #[arg(long, default_value = "uniform")]
    pub(crate) spread: Spread,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spread {
    /// Each pair is equally likely.
    Uniform,
    /// Few pairs have most of the packets.
    Zipf,
    /// The pairs in turn.
    InTurn,
    /// Random sources of all 2^32, to one destination.
    Spoofed,
}

impl Spread {
    /// Returns the name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
            Self::InTurn => "in-turn",
            Self::Spoofed => "spoofed",
        }
    }
}

/// An endless sequence of pairs, the same in each run.
pub(crate) struct Flows {
    load: Load,
    random: Random,
    turn: u32,
}

impl Flows {
    pub(crate) fn new(load: Load) -> Self {
        Self { load, random: Random(0x5eed), turn: 0 }
    }

    /// Returns the source and the destination of the next packet.
    pub(crate) fn next(&mut self) -> (u32, u32) {
        const SOURCES: u32 = 0x0a00_0000;
        const DESTINATIONS: u32 = 0xc612_0000;
        let Load { pairs, sources, spread } = self.load;
        let pair = match spread {
            Spread::Uniform => self.random.below(pairs),
            Spread::Zipf => {
                let rank = (self.random.unit() * f64::from(pairs).ln_1p()).exp() - 1.0;
                (rank as u32).min(pairs - 1)
            }
            Spread::InTurn => {
                self.turn = (self.turn + 1) % pairs;
                self.turn
            }
            Spread::Spoofed => return (self.random.next() as u32, DESTINATIONS),
        };
        (SOURCES + pair % sources, DESTINATIONS + pair / sources)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.random.below(bound)
    }
}

/// SplitMix64: fast, and good enough to spread packets.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Bytes of a frame without its check sequence.
pub(crate) const FRAME_BYTES: usize = 64;

/// Returns a UDP packet in an Ethernet frame to a MAC address that no station has, so no host answers. Its IP checksum
/// is zero, since no receiver verifies it.
pub(crate) fn frame() -> [u8; FRAME_BYTES] {
    let mut frame = [0; FRAME_BYTES];
    frame[..14].copy_from_slice(&[2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    frame[14..34].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0, 0, 60, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame
}

/// Writes the addresses, ports and lengths of a packet of a pair into a frame that [`frame`] made. `frame_bytes` is its
/// length on the wire.
pub(crate) fn address(frame: &mut [u8; FRAME_BYTES], (src, dst): (u32, u32), frame_bytes: usize) {
    let ip_bytes = (frame_bytes - 14) as u16;
    let port = 1024 + (src ^ dst.rotate_left(16)) % 60_000;
    frame[16..18].copy_from_slice(&ip_bytes.to_be_bytes());
    frame[26..30].copy_from_slice(&src.to_be_bytes());
    frame[30..34].copy_from_slice(&dst.to_be_bytes());
    frame[34..36].copy_from_slice(&(port as u16).to_be_bytes());
    frame[36..38].copy_from_slice(&443_u16.to_be_bytes());
    frame[38..40].copy_from_slice(&(ip_bytes - 20).to_be_bytes());
}
