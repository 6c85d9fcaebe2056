//! `podwire capture`.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::Path,
};

use podwire_client::CaptureRequest;
use tokio::signal::unix::{SignalKind, signal};

use super::{connect, filter};
use crate::{
    arguments::{Agent, Capture},
    exit::Failure,
    output::Output,
};

/// Writes frames until there are enough, what is captured goes away, or somebody interrupts it.
pub(super) async fn run(agent: &Agent, arguments: Capture, output: &mut Output) -> Result<(), Failure> {
    let to_file = arguments.write.as_deref().filter(|path| *path != Path::new("-"));
    if to_file.is_none() && io::stdout().is_terminal() {
        return Err(usage(
            "a capture is no text for a terminal",
            "write it to a file with `-w FILE`, or pipe it: `podwire capture … | wireshark -k -i -`",
        ));
    }
    let request = request(&arguments, output)?;
    let client = connect(agent).await?;
    let mut capture = client.capture(request).await?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // Only now: where nothing can be captured, a file that is there stays.
    let mut out: Box<dyn Write> = match to_file {
        Some(path) => Box::new(File::create(path)?),
        None => Box::new(io::stdout()),
    };
    let ended = loop {
        let piece = tokio::select! {
            piece = capture.next() => piece,
            _ = interrupt.recv() => break Ok(()),
            _ = terminate.recv() => break Ok(()),
        };
        match piece {
            // Whole blocks, so the file is complete after each.
            Some(Ok(bytes)) => {
                out.write_all(&bytes)?;
                out.flush()?;
            }
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
    };
    let (frames, drops) = (capture.frames(), capture.drops());
    output.note(&format!("{frames} {} captured, {drops} dropped", if frames == 1 { "frame" } else { "frames" }));
    Ok(ended?)
}

fn request(arguments: &Capture, output: &mut Output) -> Result<CaptureRequest, Failure> {
    let (namespace, topology) = (arguments.namespace.as_str(), arguments.topology.clone().unwrap_or_default());
    let (mut request, expression) = match (&arguments.link, &arguments.bridge, arguments.words.as_slice()) {
        (Some(link), _, words) => (CaptureRequest::link(namespace, topology, link), words),
        (_, Some(bridge), words) => (CaptureRequest::bridge(namespace, topology, bridge), words),
        (None, None, [pod, interface, words @ ..]) => {
            let request = match pod.strip_prefix("netns:") {
                Some(netns) => CaptureRequest::netns(namespace, netns, interface),
                None => CaptureRequest::interface(namespace, pod, interface),
            };
            (request.topology(topology), words)
        }
        (None, None, _) => {
            return Err(usage(
                "nothing to capture is named",
                "name POD and INTERFACE, or `--link NAME`, or `--bridge NAME`",
            ));
        }
    };
    if let Some(frames) = arguments.count {
        request = request.max_frames(frames);
    }
    if let Some(bytes) = arguments.snaplen {
        request = request.snap_length(bytes);
    }
    if let Some(time) = arguments.duration {
        request = request.duration(time);
    }
    let expression = expression.join(" ");
    if expression.trim().is_empty() {
        return Ok(request);
    }
    if expression.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "vlan") {
        output.warning(
            "`vlan` looks for a tag in the frame, and the kernel keeps the outer one beside it: capture without it and \
             filter when reading (`tcpdump -r FILE vlan`)",
        );
    }
    Ok(request.filter(filter::compile(&expression)?))
}

fn usage(problem: &str, hint: &str) -> Failure {
    Failure::Usage { problem: problem.to_owned(), hint: hint.to_owned() }
}
