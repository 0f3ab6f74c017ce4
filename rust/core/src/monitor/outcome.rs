//! What the loop hands to whoever decides.

use super::control::Update;

/// What happened that the monitor must act on.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The first process ended.
    Exited,
    /// The deadline has passed.
    TimedOut,
    /// A client passes a signal on.
    Signal(i32),
    /// A client wants a signal sent, and an answer.
    Kill {
        /// The signal.
        signal: i32,
        /// Who asks.
        client: u64,
    },
    /// A client wants the container paused, or to go on, and an answer.
    Freeze {
        /// Paused.
        frozen: bool,
        /// Who asks.
        client: u64,
    },
    /// A client wants limits or the restart policy changed, and an answer.
    Update {
        /// What changes.
        update: Box<Update>,
        /// Who asks.
        client: u64,
    },
    /// A client has written other networks down, and wants them and an answer.
    Reconnect {
        /// Who asks.
        client: u64,
    },
    /// A health check's command wrote something.
    ProbeOutput,
    /// A health check's command ended.
    ProbeEnded,
    /// This process is told to end.
    Terminate,
    /// Something waits to be carried to a published port.
    Network,
    /// Some of the output could not be logged.
    LogLost,
    /// Memory ran out.
    OutOfMemory {
        /// Or came near to it (v2): the kernel's count of kills says which.
        certain: bool,
    },
}
