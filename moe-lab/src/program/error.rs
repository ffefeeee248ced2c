//! Faults of a program that routes, apart from the laws.

/// Reason why a program could not be asked.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum ProgramError {
    /// It did not start.
    #[error("--program {command}: it did not start: {why}")]
    Start {
        /// The command line.
        command: String,
        /// The system's reason.
        why: String,
    },
    /// It ended before it had answered.
    #[error(
        "--program {command}: it ended before it had answered ({status}); it must answer until its standard input ends, and \
         its own messages stand above"
    )]
    Ended {
        /// The command line.
        command: String,
        /// The exit status.
        status: String,
    },
    /// It did not answer for long.
    #[error("--program {command}: no answer for {seconds} s; answers must be flushed")]
    Silent {
        /// The command line.
        command: String,
        /// The time that it was given.
        seconds: u64,
    },
    /// Its answer cannot be read.
    #[error("--program {command}: the answer cannot be read: {why}")]
    Answer {
        /// The command line.
        command: String,
        /// What is wrong with it.
        why: String,
    },
}
