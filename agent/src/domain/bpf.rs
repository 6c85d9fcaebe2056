//! Classic BPF programs: what a caller may hand to the kernel as a filter.
//!
//! The kernel says only "Invalid argument" of a bad program, so the rules of `bpf_check_classic` and
//! `chk_code_allowed` (net/core/filter.c) that a mistake is likely to hit are checked here, where it can be said which
//! instruction breaks them.

/// Instructions of one program: `BPF_MAXINSNS` of <linux/bpf_common.h> less those that podwire puts before it.
pub const MOST_INSTRUCTIONS: usize = 4096 - 5;

/// One instruction, as `struct sock_filter` of <linux/filter.h>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Opcode.
    pub code: u16,
    /// Skipped where a condition holds.
    pub jt: u8,
    /// Skipped where it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A program that ends for every frame, as far as can be told without the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(Vec<Instruction>);

/// Why a list of instructions is no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct BadInstruction {
    /// Which instruction, from 0.
    pub at: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Memory words of the machine (`BPF_MEMWORDS`).
const WORDS: u32 = 16;

/// `SKF_AD_OFF` of <linux/filter.h>: from here on offsets are no bytes of the frame.
const ANCILLARY: u32 = 0xffff_f000;

const CLASS: u16 = 0x07;
const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;

/// `BPF_RET | BPF_K`.
pub const RET_K: u16 = 0x06;
const RET_A: u16 = 0x16;
const MEM: u16 = 0x60;

impl Program {
    /// Checks a program. An empty one accepts everything and is none: `None`.
    ///
    /// # Errors
    ///
    /// The first instruction that the kernel would not take.
    pub fn new(instructions: Vec<Instruction>) -> Result<Option<Self>, BadInstruction> {
        let length = instructions.len();
        let Some(last) = instructions.last() else { return Ok(None) };
        if length > MOST_INSTRUCTIONS {
            let problem = format!("it has {length} instructions, {MOST_INSTRUCTIONS} are the most");
            return Err(BadInstruction { at: MOST_INSTRUCTIONS, problem });
        }
        for (at, instruction) in instructions.iter().enumerate() {
            instruction.check(at, length).map_err(|problem| BadInstruction { at, problem })?;
        }
        if !matches!(last.code, RET_K | RET_A) {
            return Err(BadInstruction { at: length - 1, problem: "the last instruction must be a return".to_owned() });
        }
        match unwritten(&instructions) {
            Some((at, word)) => {
                let problem = format!("it reads memory word {word}, which not every way to it has written");
                Err(BadInstruction { at, problem })
            }
            None => Ok(Some(Self(instructions))),
        }
    }

    /// Its instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}

impl Instruction {
    fn check(self, at: usize, length: usize) -> Result<(), String> {
        let Self { code, jt, jf, k } = self;
        if !is_known(code) {
            return Err(format!("opcode {code:#x} is none of the classic machine"));
        }
        let target = |skip: u64| at as u64 + 1 + skip;
        let lands = |skip: u64| {
            let target = target(skip);
            if target < length as u64 { Ok(()) } else { Err(format!("it jumps to {target}, behind the program's end")) }
        };
        match code & CLASS {
            LD if matches!(code, 0x20 | 0x28 | 0x30) && k >= ANCILLARY && !is_ancillary(k) => {
                Err(format!("the kernel has nothing at offset {k:#x}: SKF_AD_OFF has 0 to 60 behind it, in fours"))
            }
            LD | LDX if code & 0xe0 == MEM && k >= WORDS => Err(format!("there is no memory word {k}: 0 to 15 are")),
            ST | STX if k >= WORDS => Err(format!("there is no memory word {k}: 0 to 15 are")),
            ALU if matches!(code, 0x34 | 0x94) && k == 0 => Err("it divides by zero".to_owned()),
            ALU if matches!(code, 0x64 | 0x74) && k >= 32 => Err(format!("it shifts by {k} bits, 31 are the most")),
            JMP if code == 0x05 => lands(k.into()),
            JMP => lands(jt.into()).and_then(|()| lands(jf.into())),
            _ => Ok(()),
        }
    }
}

/// The first instruction that reads a word of memory which is not written on every way to it, and that word. As
/// `check_load_and_stores`, which is there so that nobody reads the kernel's stack. Jumps only lead forward, and within the
/// program.
fn unwritten(instructions: &[Instruction]) -> Option<(usize, u32)> {
    // Words that are written on all jumps to an instruction, a bit each.
    let mut jumped = vec![u16::MAX; instructions.len()];
    let mut written = 0_u16;
    for (at, instruction) in instructions.iter().enumerate() {
        let Instruction { code, jt, jf, k } = *instruction;
        written &= jumped[at];
        let mut jump =
            |skip: usize, written: u16| jumped.get_mut(at + 1 + skip).into_iter().for_each(|it| *it &= written);
        match code & CLASS {
            ST | STX => written |= 1 << k,
            LD | LDX if code & 0xe0 == MEM && written & (1 << k) == 0 => return Some((at, k)),
            JMP if code == 0x05 => {
                jump(k as usize, written);
                written = u16::MAX;
            }
            JMP => {
                jump(jt.into(), written);
                jump(jf.into(), written);
                written = u16::MAX;
            }
            _ => {}
        }
    }
    None
}

/// Whether the kernel knows something about a frame by this offset: `SKF_AD_PROTOCOL` to `SKF_AD_VLAN_TPID` of
/// <linux/filter.h>.
fn is_ancillary(offset: u32) -> bool {
    (ANCILLARY..=ANCILLARY + 60).contains(&offset) && offset.is_multiple_of(4)
}

/// The opcodes of the classic machine.
fn is_known(code: u16) -> bool {
    match code & CLASS {
        LD => matches!(code, 0x00 | 0x20 | 0x28 | 0x30 | 0x40 | 0x48 | 0x50 | 0x60 | 0x80),
        LDX => matches!(code, 0x01 | 0x61 | 0x81 | 0xb1),
        // Operation in the high nibble, operand K or X in bit 3; the negation has none.
        ALU => code == 0x84 || (code & 0xff07 == ALU && code & 0xf0 <= 0xa0 && code & 0xf0 != 0x80),
        JMP => matches!(code, 0x05 | 0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d),
        RET => matches!(code, RET_K | RET_A),
        _ => matches!(code, 0x02 | 0x03 | 0x07 | 0x87),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instruction((code, jt, jf, k): (u16, u8, u8, u32)) -> Instruction {
        Instruction { code, jt, jf, k }
    }

    fn program(list: &[(u16, u8, u8, u32)]) -> Result<Option<Program>, BadInstruction> {
        Program::new(list.iter().copied().map(instruction).collect())
    }

    #[test]
    fn what_tcpdump_compiles_is_taken() {
        // tcpdump -ddd -y EN10MB arp
        assert!(
            program(&[(40, 0, 0, 12), (21, 0, 1, 2054), (6, 0, 0, 262_144), (6, 0, 0, 0)]).is_ok_and(|p| p.is_some())
        );
        assert_eq!(program(&[]), Ok(None));
        // What is written is read, and what the kernel knows about a frame.
        let both =
            [(0x00, 0, 0, 7), (0x15, 0, 1, 7), (0x05, 0, 0, 1), (0x03, 0, 0, 3), (0x02, 0, 0, 3), (0x60, 0, 0, 3)];
        let ends = [(0x20, 0, 0, 0xffff_f000), (0x30, 0, 0, 0xffff_f03c), (0x16, 0, 0, 0)];
        assert!(program(&[&both[..], &ends[..]].concat()).is_ok_and(|p| p.is_some()));
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (list, at, words) in [
            (&[(0xffff, 0, 0, 0), (6, 0, 0, 0)][..], 0, "opcode"),
            (&[(40, 0, 0, 12), (21, 0, 9, 2054), (6, 0, 0, 0)], 1, "jumps to 11"),
            (&[(5, 0, 0, u32::MAX), (6, 0, 0, 0)], 0, "jumps to"),
            (&[(40, 0, 0, 12)], 0, "return"),
            (&[(0x34, 0, 0, 0), (6, 0, 0, 0)], 0, "zero"),
            (&[(0x60, 0, 0, 16), (6, 0, 0, 0)], 0, "memory word 16"),
            (&[(0x02, 0, 0, 99), (6, 0, 0, 0)], 0, "memory word 99"),
            (&[(0x64, 0, 0, 32), (6, 0, 0, 0)], 0, "shifts"),
            (&[(0x20, 0, 0, 0xffff_f040), (6, 0, 0, 0)], 0, "SKF_AD_OFF"),
            (&[(0x28, 0, 0, 0xffff_f005), (6, 0, 0, 0)], 0, "SKF_AD_OFF"),
            (&[(0x30, 0, 0, u32::MAX), (6, 0, 0, 0)], 0, "SKF_AD_OFF"),
            (&[(0x60, 0, 0, 3), (6, 0, 0, 0)], 0, "written"),
            (&[(0x02, 0, 0, 3), (0x61, 0, 0, 4), (6, 0, 0, 0)], 1, "memory word 4"),
            // Only one of two ways writes it.
            (&[(0x15, 0, 1, 7), (0x02, 0, 0, 3), (0x60, 0, 0, 3), (6, 0, 0, 0)], 2, "written"),
        ] {
            let error = program(list).unwrap_err();
            assert_eq!(error.at, at, "{error}");
            assert!(error.problem.contains(words), "{error}");
        }
        let long = vec![(6, 0, 0, 0); MOST_INSTRUCTIONS + 1];
        assert_eq!(program(&long).unwrap_err().at, MOST_INSTRUCTIONS);
    }

    proptest! {
        #[test]
        fn any_instructions_are_judged(list in prop::collection::vec(any::<(u16, u8, u8, u32)>(), 0..20)) {
            let _ = program(&list);
        }
    }
}
