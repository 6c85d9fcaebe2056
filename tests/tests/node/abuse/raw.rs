//! HTTP/2 by hand, as RFC 9113 has it, for what no client library says.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    net::{TcpSocket, TcpStream, UnixStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// Types of frames.
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
/// Flags.
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
/// Where attackers come from.
const SOURCE: [u8; 4] = [127, 0, 0, 2];

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection.
pub(super) struct Raw {
    reader: Option<ReadHalf<Box<dyn Stream>>>,
    writer: WriteHalf<Box<dyn Stream>>,
    pub(super) seen: Arc<Seen>,
    listener: Option<JoinHandle<()>>,
}

/// What has come from the other side.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Frames by type.
    pub(super) frames: [AtomicUsize; 10],
    pub(super) closed: AtomicBool,
}

impl Seen {
    pub(super) fn count(&self, kind: u8) -> usize {
        self.frames[usize::from(kind)].load(Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// A connection by TCP from where attackers are.
pub(super) async fn tcp(address: &str) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((SOURCE, 0).into())?;
    let stream = socket.connect(address.parse().map_err(io::Error::other)?).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Raw {
    fn new(stream: Box<dyn Stream>) -> Self {
        let (reader, writer) = split(stream);
        Self { reader: Some(reader), writer, seen: Arc::default(), listener: None }
    }

    pub(super) async fn tcp(address: &str) -> io::Result<Self> {
        Ok(Self::new(Box::new(tcp(address).await?)))
    }

    pub(super) async fn unix(address: &str) -> io::Result<Self> {
        Ok(Self::new(Box::new(UnixStream::connect(address.trim_start_matches("unix://")).await?)))
    }

    pub(super) async fn tls(address: &str, connector: &TlsConnector) -> io::Result<Self> {
        let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
        Ok(Self::new(Box::new(connector.connect(name, tcp(address).await?).await?)))
    }

    /// Begins HTTP/2 with these settings, and reads all that comes.
    pub(super) async fn greet(&mut self, settings: &[(u16, u32)]) -> io::Result<()> {
        self.listen();
        self.writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        let payload = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        self.send(&frame(SETTINGS, 0, 0, &payload.collect::<Vec<_>>())).await
    }

    /// Reads all that comes.
    pub(super) fn listen(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        let seen = Arc::clone(&self.seen);
        self.listener = Some(tokio::spawn(async move {
            let _ = read(reader, &seen).await;
            seen.closed.store(true, Ordering::Relaxed);
        }));
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.writer.flush().await
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Its half of the connection goes with it.
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

async fn read(mut reader: ReadHalf<Box<dyn Stream>>, seen: &Seen) -> io::Result<()> {
    let mut payload = Vec::new();
    loop {
        let mut head = [0; 9];
        reader.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        payload.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        reader.read_exact(&mut payload).await?;
        if let Some(count) = seen.frames.get(usize::from(head[3])) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header field that is not indexed (RFC 7541, section 6.2.2), neither name nor value longer than HPACK's one byte and a
/// varint.
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        length(text.len(), 7, 0, &mut field);
        field.extend(text.as_bytes());
    }
    field
}

/// An integer with a prefix of some bits (RFC 7541, section 5.1).
pub(super) fn length(mut value: usize, bits: u32, flags: u8, out: &mut Vec<u8>) {
    let most = (1_usize << bits) - 1;
    if value < most {
        out.push(flags | u8::try_from(value).unwrap());
        return;
    }
    out.push(flags | u8::try_from(most).unwrap());
    value -= most;
    while value >= 128 {
        out.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap());
}

/// The headers of a call.
pub(super) fn call(method: &str) -> Vec<u8> {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "agent"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
    .into_iter()
    .flat_map(|(name, value)| field(name, value))
    .collect()
}

/// A message as gRPC has it: not compressed, so long.
pub(super) fn message(bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![0];
    message.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    message.extend(bytes);
    message
}
