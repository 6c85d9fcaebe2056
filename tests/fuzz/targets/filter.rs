//! Filters of captures: classic BPF programs as callers send them, and as `tcpdump -ddd` prints them.
//!
//! An input is such a print, or instructions of 8 bytes each as in `struct sock_filter`.
#![no_main]

use std::{io, os::unix::net::UnixDatagram, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use podwire_agent::{
    api::fuzzing::{Asked, Message, asked},
    domain::bpf::{Instruction, MOST_INSTRUCTIONS, Program},
    kernel::{Side, sight},
};
use podwire_cli::fuzzing::program;
use podwire_proto::v1;
use socket2::{SockFilter, SockRef};

/// `BPF_MAXINSNS` of <linux/bpf_common.h>.
const KERNELS_MOST: usize = 4096;

const SNAP_LENGTH: u32 = 262_144;

fuzz_target!(|data: &[u8]| {
    let printed = std::str::from_utf8(data).ok().and_then(program);
    let messages = printed.unwrap_or_else(|| data.chunks_exact(8).map(instruction).collect());
    let Ok(instructions) = messages.iter().map(narrow).collect::<Result<Vec<_>, _>>() else { return };
    let asked = asked(Message::Capture(v1::CaptureRequest {
        topology: "t".to_owned(),
        target: Some(v1::capture_request::Target::Link("w1".to_owned())),
        filter: messages,
        ..Default::default()
    }));
    let Ok(Asked::Capture(request)) = asked else {
        // What the agent refuses the kernel refuses too, but for the length.
        let error = Program::new(instructions.clone()).expect_err("the agent refused it");
        assert!(error.at < instructions.len() && !error.problem.is_empty());
        assert!(instructions.len() > MOST_INSTRUCTIONS || !takes(&instructions), "the kernel takes it: {error}");
        return;
    };
    let Some(program) = &request.filter else { return assert!(instructions.is_empty()) };
    assert_eq!(program.instructions(), instructions);
    for entering in [None, Some(Side::Panel), Some(Side::Pod)] {
        let filter = sight(Some(program), SNAP_LENGTH, entering, 1).filter;
        assert!(filter.len() <= KERNELS_MOST);
        assert!(takes(&filter), "the kernel refuses {filter:?}");
    }
});

fn instruction(bytes: &[u8]) -> v1::BpfInstruction {
    v1::BpfInstruction {
        code: u16::from_le_bytes([bytes[0], bytes[1]]).into(),
        jt: bytes[2].into(),
        jf: bytes[3].into(),
        k: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    }
}

fn narrow(message: &v1::BpfInstruction) -> Result<Instruction, std::num::TryFromIntError> {
    Ok(Instruction {
        code: message.code.try_into()?,
        jt: message.jt.try_into()?,
        jf: message.jf.try_into()?,
        k: message.k,
    })
}

/// Whether the kernel takes a program, or has no room for it: that is nothing against it.
fn takes(program: &[Instruction]) -> bool {
    static SOCKET: LazyLock<UnixDatagram> = LazyLock::new(|| UnixDatagram::unbound().expect("a socket"));
    let program: Vec<SockFilter> = program.iter().map(|it| SockFilter::new(it.code, it.jt, it.jf, it.k)).collect();
    let attached = SockRef::from(&*SOCKET).attach_filter(&program);
    attached.is_ok_or(|error: &io::Error| error.kind() == io::ErrorKind::OutOfMemory)
}

/// A result that an error may not spoil.
trait IsOkOr<E> {
    fn is_ok_or(&self, forgiven: impl FnOnce(&E) -> bool) -> bool;
}

impl<T, E> IsOkOr<E> for Result<T, E> {
    fn is_ok_or(&self, forgiven: impl FnOnce(&E) -> bool) -> bool {
        self.as_ref().err().is_none_or(forgiven)
    }
}
