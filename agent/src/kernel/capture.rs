//! Captures: frames of some ports as a pcapng file that grows.
//!
//! One thread for each capture reads its sockets; who reads the file may be as slow as he likes. What he does not take
//! waits in memory up to a limit, then in the sockets' own buffers up to theirs, and then the kernel drops and counts:
//! a packet socket never holds up the device that it looks at.

mod pcapng;
mod recorder;
mod shared;
mod stamps;

use std::{sync::Arc, time::Duration};

use tokio::sync::OwnedSemaphorePermit;

use crate::domain::bpf::{Instruction, Program, RET_K};

use super::{KernelError, PacketSocket, packet::Sight};
use recorder::Recorder;
use shared::{Command, Shared};

pub use stamps::Stamps;

/// Bytes that may wait in the sockets of one capture, together; the kernel counts its own overhead twice.
const RECEIVE_BYTES: usize = 4 * 1024 * 1024;

/// Bytes that may wait in one socket at least: some frames of 64 KiB.
const LEAST_RECEIVE_BYTES: usize = 256 * 1024;

/// From where a port is looked at, which decides what the directions mean to the pod's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// From the panel: what comes in was sent by the pod.
    Panel,
    /// From inside the pod.
    Pod,
}

/// How much is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Bytes kept of each frame.
    pub snap_length: u32,
    /// Frames; `None`: no limit.
    pub max_frames: Option<u64>,
    /// Time; `None`: no limit.
    pub duration: Option<Duration>,
}

/// A port of a capture.
#[derive(Debug)]
pub struct Port {
    /// Name of its pcapng interface. One that comes again under a name goes on as the same interface.
    pub name: String,
    /// What it is, for the file.
    pub description: String,
    /// Its socket.
    pub socket: PacketSocket,
    /// From where it is looked at.
    pub side: Side,
    /// Its share of what the node captures.
    pub permit: OwnedSemaphorePermit,
}

/// Why a capture ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It has as many frames or lasted as long as was asked for.
    Complete,
    /// What is captured is there no more; with the reason.
    Gone(String),
    /// The agent leaves.
    Leaving,
    /// Nobody reads it any more.
    HungUp,
}

/// More of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Whole blocks.
    pub bytes: Vec<u8>,
    /// Frames written so far, this chunk and those that wait behind it included.
    pub frames: u64,
    /// Frames dropped so far.
    pub drops: u64,
}

/// A capture under way. Its sockets close when it ends.
#[derive(Debug)]
pub struct Recording(Arc<Shared>);

impl Recording {
    /// Begins a file without ports.
    ///
    /// # Errors
    ///
    /// No descriptor or no thread is left.
    pub fn start(extent: Extent) -> Result<Self, KernelError> {
        let shared = Arc::new(Shared::new()?);
        Recorder::start(Arc::clone(&shared), extent)?;
        Ok(Self(shared))
    }

    /// Adds a port.
    pub fn add(&self, port: Port) {
        self.0.command(Command::Add(Box::new(port)));
    }

    /// Takes a port away; what waits in its socket is written first.
    pub fn remove(&self, name: &str) {
        self.0.command(Command::Remove(name.to_owned()));
    }

    /// Whether a port of this name is being read.
    pub fn has(&self, name: &str) -> bool {
        self.0.state().present.contains(name)
    }

    /// Ends it, unless it has ended already: what waits in the sockets is written, and they are closed.
    pub fn end(&self, end: End) {
        self.0.end(end);
    }

    /// More of the file; waits for it. `None`: it has ended, and this was all. Dropping the future loses nothing.
    pub async fn next(&self) -> Option<Chunk> {
        self.0.next().await
    }

    /// Why it ended; `None`: it did not yet.
    pub fn ended(&self) -> Option<End> {
        self.0.state().end.clone()
    }

    /// Waits until a port's device went away. Only one may wait.
    pub async fn lost(&self) {
        self.0.lost.notified().await;
    }
}

/// What the sockets of a capture shall see: of a program what it accepts, and, where each frame is wanted once, only
/// those that enter at the port.
pub fn sight(program: Option<&Program>, snap_length: u32, entering: Option<Side>, ports: usize) -> Sight {
    let mut filter = entering.map_or_else(Vec::new, |side| only_entering(side).to_vec());
    match program {
        // A return says how many bytes are kept.
        Some(program) => filter.extend(program.instructions().iter().map(|instruction| match instruction.code {
            RET_K => Instruction { k: instruction.k.min(snap_length), ..*instruction },
            _ => *instruction,
        })),
        None => filter.push(Instruction { code: RET_K, jt: 0, jf: 0, k: snap_length }),
    }
    Sight { receive_bytes: (RECEIVE_BYTES / ports.max(1)).max(LEAST_RECEIVE_BYTES), filter }
}

/// Instructions that let only frames pass that the pod sent: those that the panel's port did not send, those that the
/// pod's own device did.
fn only_entering(side: Side) -> [Instruction; 4] {
    /// `SKF_AD_OFF + SKF_AD_PKTTYPE` of <linux/filter.h>.
    const PACKET_TYPE: u32 = 0xffff_f004;
    /// `PACKET_OUTGOING` of <linux/if_packet.h>.
    const OUTGOING: u32 = 4;
    let (jt, jf) = match side {
        Side::Panel => (0, 1),
        Side::Pod => (1, 0),
    };
    [
        Instruction { code: 0x20, jt: 0, jf: 0, k: PACKET_TYPE },
        Instruction { code: 0x15, jt, jf, k: OUTGOING },
        Instruction { code: RET_K, jt: 0, jf: 0, k: 0 },
        // A program begins with 0 in its register.
        Instruction { code: 0x00, jt: 0, jf: 0, k: 0 },
    ]
}
