//! The checker and the interpreter of classic BPF, in plain Rust, for tests and the fuzzer.
//!
//! Sources: `bpf_check_classic`, `chk_code_allowed`, `bpf_internal_load_pointer_neg_helper` and `bpf_skb_get_nlattr` in
//! `net/core/filter.c` and `kernel/bpf/core.c`; `Documentation/networking/filter.rst`.

use libc::{
    BPF_A, BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_DIV, BPF_H, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ,
    BPF_JGE, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_LEN, BPF_LSH, BPF_MISC, BPF_MUL,
    BPF_NEG, BPF_OR, BPF_RET, BPF_RSH, BPF_SUB, BPF_TAX, BPF_TXA, BPF_W, BPF_X, SKF_AD_HATYPE,
    SKF_AD_IFINDEX, SKF_AD_NLATTR, SKF_AD_OFF, SKF_AD_PKTTYPE, SKF_AD_PROTOCOL, SKF_AD_VLAN_TAG,
    SKF_AD_VLAN_TAG_PRESENT, SKF_NET_OFF, sock_filter,
};

/// Maximum number of instructions (`BPF_MAXINSNS`).
const INSTRUCTIONS_MAX: usize = 4096;

/// A frame or message as the kernel has it (`struct sk_buff`).
#[derive(Clone, Debug, Default)]
pub(in crate::capture) struct Skb {
    pub(in crate::capture) bytes: Vec<u8>,
    /// Offset of the header of the network layer in `bytes`.
    pub(in crate::capture) network_at: usize,
    /// The EtherType, as the kernel has read it.
    pub(in crate::capture) protocol: u16,
    /// `PACKET_*`.
    pub(in crate::capture) pkttype: u8,
    pub(in crate::capture) ifindex: u32,
    /// `ARPHRD_*`.
    pub(in crate::capture) hatype: u16,
    /// The tag that the kernel has stripped.
    pub(in crate::capture) vlan_tci: Option<u16>,
}

impl Skb {
    /// Loads ancillary data. `a` and `x` are the registers, which are parameters of `SKF_AD_NLATTR`.
    fn ancillary(&self, field: i32, a: u32, x: u32) -> u32 {
        match field {
            SKF_AD_PROTOCOL => u32::from(self.protocol),
            SKF_AD_PKTTYPE => u32::from(self.pkttype),
            SKF_AD_IFINDEX => self.ifindex,
            SKF_AD_NLATTR => self.attribute_at(a, x).unwrap_or(0),
            SKF_AD_HATYPE => u32::from(self.hatype),
            SKF_AD_VLAN_TAG => u32::from(self.vlan_tci.unwrap_or(0)),
            SKF_AD_VLAN_TAG_PRESENT => u32::from(self.vlan_tci.is_some()),
            other => panic!("the program loads {other}"),
        }
    }

    /// Returns the offset of the first netlink attribute of this type at or after `from`.
    fn attribute_at(&self, from: u32, kind: u32) -> Option<u32> {
        const HEADER: usize = 4;
        let mut at = from as usize;
        loop {
            let &[l0, l1, k0, k1, ..] = self.bytes.get(at..).filter(|rest| rest.len() >= HEADER)? else {
                return None;
            };
            let len = usize::from(u16::from_ne_bytes([l0, l1]));
            if len < HEADER || len > self.bytes.len() - at {
                return None;
            }
            // NLA_TYPE_MASK leaves two flags out.
            if u32::from(u16::from_ne_bytes([k0, k1]) & 0x3fff) == kind {
                return u32::try_from(at).ok();
            }
            at += len.next_multiple_of(HEADER);
        }
    }

    fn load(&self, offset: i32, size: u32) -> Option<u32> {
        let at = if offset >= 0 {
            usize::try_from(offset).ok()?
        } else if offset >= SKF_NET_OFF {
            self.network_at.checked_add(usize::try_from(offset - SKF_NET_OFF).ok()?)?
        } else {
            return None;
        };
        let len = match size {
            BPF_B => 1,
            BPF_H => 2,
            _ => 4,
        };
        let bytes = self.bytes.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }
}

/// Checks a program as the kernel does before it attaches it: known instructions, jumps that stay inside, an end.
///
/// # Errors
/// The reason why the kernel refuses it.
pub(in crate::capture) fn check(program: &[sock_filter]) -> Result<(), String> {
    if !(1..=INSTRUCTIONS_MAX).contains(&program.len()) {
        return Err(format!("{} instructions", program.len()));
    }
    for (at, &sock_filter { code, jt, jf, k }) in program.iter().enumerate() {
        let after = program.len() - at - 1;
        let code = u32::from(code);
        let is_inside = |distance: usize| distance < after;
        let is_known = match (code & 0x07, code & 0xf8) {
            (BPF_LD, rest) => match rest & 0xe0 {
                BPF_ABS | BPF_IND => matches!(rest & 0x18, BPF_W | BPF_H | BPF_B),
                BPF_IMM | BPF_LEN => rest & 0x18 == BPF_W,
                _ => false,
            },
            (BPF_LDX, rest) => matches!(rest, BPF_IMM | BPF_LEN),
            (BPF_ALU, rest) => match (rest & 0xf0, rest & 0x08) {
                (BPF_DIV, BPF_K) => k != 0,
                (BPF_LSH | BPF_RSH, BPF_K) => k < 32,
                (BPF_ADD | BPF_SUB | BPF_MUL | BPF_DIV | BPF_OR | BPF_AND | BPF_LSH | BPF_RSH, _) => true,
                (operation, source) => operation == BPF_NEG && source == BPF_K,
            },
            (BPF_JMP, rest) => match (rest & 0xf0, rest & 0x08) {
                (BPF_JA, BPF_K) => is_inside(k as usize),
                (BPF_JEQ | BPF_JGT | BPF_JGE | BPF_JSET, _) => is_inside(jt.into()) && is_inside(jf.into()),
                _ => false,
            },
            (BPF_RET, rest) => matches!(rest, BPF_K | BPF_A),
            (BPF_MISC, rest) => matches!(rest, BPF_TAX | BPF_TXA),
            _ => false,
        };
        if !is_known {
            return Err(format!("instruction {at} is {code:#x} {jt} {jf} {k:#x}"));
        }
    }
    let last = program.last().map_or(0, |last| u32::from(last.code));
    if last & 0x07 == BPF_RET { Ok(()) } else { Err("the last instruction is no return".to_owned()) }
}

/// Runs a program that [`check`] accepts; returns the number of bytes kept. Jumps lead forward only, so it ends.
pub(in crate::capture) fn run(program: &[sock_filter], skb: &Skb) -> u32 {
    let (mut pc, mut a, mut x) = (0_usize, 0_u32, 0_u32);
    loop {
        let sock_filter { code, jt, jf, k } = program[pc];
        pc += 1;
        let code = u32::from(code);
        let operand = if code & 0x08 == BPF_X { x } else { k };
        match (code & 0x07, code & 0xf8) {
            (BPF_RET, BPF_A) => return a,
            (BPF_RET, _) => return k,
            (BPF_LD, rest) => match rest & 0xe0 {
                BPF_IMM => a = k,
                BPF_LEN => a = u32::try_from(skb.bytes.len()).unwrap_or(u32::MAX),
                mode => {
                    let offset = if mode == BPF_IND { x.wrapping_add(k) } else { k }.cast_signed();
                    if mode == BPF_ABS && (SKF_AD_OFF..0).contains(&offset) {
                        a = skb.ancillary(offset - SKF_AD_OFF, a, x);
                    } else {
                        match skb.load(offset, rest & 0x18) {
                            Some(value) => a = value,
                            None => return 0,
                        }
                    }
                }
            },
            (BPF_LDX, BPF_IMM) => x = k,
            (BPF_LDX, _) => x = u32::try_from(skb.bytes.len()).unwrap_or(u32::MAX),
            (BPF_ALU, rest) => {
                a = match rest & 0xf0 {
                    BPF_ADD => a.wrapping_add(operand),
                    BPF_SUB => a.wrapping_sub(operand),
                    BPF_MUL => a.wrapping_mul(operand),
                    BPF_DIV => match a.checked_div(operand) {
                        Some(quotient) => quotient,
                        None => return 0,
                    },
                    BPF_OR => a | operand,
                    BPF_AND => a & operand,
                    BPF_LSH => a.wrapping_shl(operand),
                    BPF_RSH => a.wrapping_shr(operand),
                    _ => a.wrapping_neg(),
                }
            }
            (BPF_JMP, rest) => {
                let holds = match rest & 0xf0 {
                    BPF_JA => {
                        pc += k as usize;
                        continue;
                    }
                    BPF_JEQ => a == operand,
                    BPF_JGT => a > operand,
                    BPF_JGE => a >= operand,
                    _ => a & operand != 0,
                };
                pc += usize::from(if holds { jt } else { jf });
            }
            (BPF_MISC, BPF_TAX) => x = a,
            (BPF_MISC, _) => a = x,
            (class, rest) => panic!("unknown instruction {class:#x} {rest:#x} at {}", pc - 1),
        }
    }
}
