//! A steady stream of numbered packets over one wire, to see whether one is lost.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::netns;

/// Time from one packet to the next.
const PACE: Duration = Duration::from_micros(500);

/// How long a packet may be on its way.
const LATE: Duration = Duration::from_secs(5);

/// Packets that may be on their way. A socket has room for more, so a receiver that a busy machine does not run loses none.
const AHEAD: u64 = 100;

/// A stream that goes on until it is stopped.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Result<u64>>,
    receiver: JoinHandle<Result<(u64, Duration)>>,
}

impl Stream {
    /// Starts to send from the pod `from` to the address `to` of the pod `at`.
    ///
    /// # Errors
    ///
    /// No such pod, or no such address there.
    pub fn start(from: &str, at: &str, to: IpAddr) -> Result<Self> {
        let ear = netns::inside(at, || UdpSocket::bind((to, 0)).context("bind the receiver"))?;
        let target: SocketAddr = ear.local_addr()?;
        let any: IpAddr = if to.is_ipv4() { [0, 0, 0, 0].into() } else { [0u8; 16].into() };
        let mouth = netns::inside(from, || UdpSocket::bind((any, 0)).context("bind the sender"))?;
        mouth.connect(target)?;
        ear.set_read_timeout(Some(LATE))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, came) = (Arc::clone(&stop), Arc::new(AtomicU64::new(0)));
        let seen = Arc::clone(&came);
        let sender = thread::spawn(move || send(&mouth, &stopped, &seen));
        let receiver = thread::spawn(move || receive(&ear, &came));
        Ok(Self { stop, sender, receiver })
    }

    /// Stops it. How many packets were sent, and the longest pause between two that came.
    ///
    /// # Errors
    ///
    /// One was lost, came twice or in another order.
    pub fn finish(self) -> Result<(u64, Duration)> {
        self.stop.store(true, Ordering::SeqCst);
        let sent = self.sender.join().map_err(|_| anyhow!("the sender panicked"))??;
        let (came, pause) = self.receiver.join().map_err(|_| anyhow!("the receiver panicked"))??;
        if came != sent {
            bail!("{sent} packets were sent and {came} came");
        }
        Ok((sent, pause))
    }
}

/// Number of the packet that ends a stream.
const END: u64 = u64::MAX;

fn send(mouth: &UdpSocket, stop: &AtomicBool, came: &AtomicU64) -> Result<u64> {
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        if number < came.load(Ordering::SeqCst) + AHEAD {
            mouth.send(&u64::to_be_bytes(number)).with_context(|| format!("send packet {number}"))?;
            number += 1;
        }
        thread::sleep(PACE);
    }
    mouth.send(&END.to_be_bytes()).context("send the last packet")?;
    Ok(number)
}

fn receive(ear: &UdpSocket, came: &AtomicU64) -> Result<(u64, Duration)> {
    let (mut expected, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
    loop {
        let mut bytes = [0; 8];
        ear.recv(&mut bytes).with_context(|| format!("wait for packet {expected}"))?;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        match u64::from_be_bytes(bytes) {
            END => return Ok((expected, longest)),
            number if number == expected => {
                expected += 1;
                came.store(expected, Ordering::SeqCst);
            }
            number => bail!("packet {number} came where {expected} was due"),
        }
    }
}
