//! The runtime's events, from a task of their own: the call does not return before the first event.

use std::time::Duration;

use podwire_proto::cri::{ContainerEventResponse, ContainerEventType};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};
use tonic::{Code, Status};

use super::runtime::{Runtime, words};

/// Events that may wait for the task that lists.
const QUEUE: usize = 256;

/// The first and the longest pause before events are asked for again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// What an event means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The container or sandbox of this id has stopped or was removed.
    Ended(String),
    /// Something else: look at the list.
    Other,
    /// There are no events, or not for now: look at the list, and often.
    Unavailable,
}

/// The events of a connection. They end with it.
pub(super) struct Events {
    receiver: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

/// Follows the events of a runtime.
pub(super) fn follow(runtime: Runtime) -> Events {
    let (sender, receiver) = mpsc::channel(QUEUE);
    Events { receiver, task: tokio::spawn(run(runtime, sender)) }
}

impl Events {
    /// The next one; `None`: there will be none.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(runtime: Runtime, sender: mpsc::Sender<Event>) {
    let mut pause = BACKOFF.0;
    let mut said = false;
    loop {
        let ended = match runtime.events().await {
            Ok(mut stream) => loop {
                match stream.message().await {
                    Ok(Some(event)) => {
                        (pause, said) = (BACKOFF.0, false);
                        if sender.send(Event::from(event)).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => break Status::ok("the stream ended"),
                    Err(status) => break status,
                }
            },
            Err(status) => status,
        };
        if !said {
            tracing::info!(reason = %words(&ended), "no events of the container runtime: its list is polled");
            said = true;
        }
        if sender.send(Event::Unavailable).await.is_err() || ended.code() == Code::Unimplemented {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

impl From<ContainerEventResponse> for Event {
    fn from(event: ContainerEventResponse) -> Self {
        match event.container_event_type() {
            ContainerEventType::ContainerStoppedEvent | ContainerEventType::ContainerDeletedEvent => {
                Self::Ended(event.container_id)
            }
            ContainerEventType::ContainerCreatedEvent | ContainerEventType::ContainerStartedEvent => Self::Other,
        }
    }
}
