//! Makes sure that the kernel stamps frames when they pass, from the first one on.
//!
//! The kernel stamps only while somebody asks for it, and begins some milliseconds after the first who does
//! (`net_enable_timestamp` of net/core/dev.c defers the work); a frame without a stamp gets that of the moment when it is
//! read. So a socket in a namespace of its own asks first, and finds out when it is so.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use crate::kernel::{Devices, KernelError, PacketSocket, Sight, link, netns::in_scratch, socket::RouteSocket};

use super::{recorder::now, sight};

/// Index of `lo` in every namespace.
const LO: u32 = 1;

/// How long a frame lies before it is read, in the trial: any time that two clock readings tell apart.
const PAUSE: Duration = Duration::from_micros(200);

/// After so long stamps are taken as they are.
const PATIENCE: Duration = Duration::from_millis(200);

/// Whether stamps are made: while anybody holds them.
#[derive(Debug, Default)]
pub struct Stamps(Mutex<Weak<PacketSocket>>);

impl Stamps {
    /// Returns once stamps are made; they are as long as this is kept. Blocking.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn hold(&self) -> Result<Arc<PacketSocket>, KernelError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = held.upgrade() {
            return Ok(socket);
        }
        let socket = Arc::new(in_scratch(asking)??);
        *held = Arc::downgrade(&socket);
        Ok(socket)
    }
}

/// A socket that asks for stamps, once they are made.
fn asking() -> Result<PacketSocket, KernelError> {
    RouteSocket::open()?.batch(vec![link::set_up(LO, true)])?.into_iter().collect::<Result<(), _>>()?;
    let sight = Sight { receive_bytes: 0, ..sight(None, 64, None, 1) };
    let mut socket = PacketSocket::open(&Devices::here()?, "lo", &sight)?;
    let (begin, mut buffer) = (Instant::now(), [0; 64]);
    while begin.elapsed() < PATIENCE {
        socket.send(&[0; 60])?;
        let sent = now();
        thread::sleep(PAUSE);
        let first = socket.receive(&mut buffer)?.map(|frame| frame.stamp);
        while socket.receive(&mut buffer)?.is_some() {}
        if first.is_some_and(|stamp| stamp <= sent) {
            return Ok(socket);
        }
    }
    tracing::warn!("the kernel does not stamp frames when they pass: captures have the time at which they were read");
    Ok(socket)
}
