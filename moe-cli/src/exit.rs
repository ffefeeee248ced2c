//! Ends of the program: exit codes, and errors without backtraces.

use crate::terminal::say;
use moe_checkpoint::is_guarded;
use moe_lab::ablate::AblateError;
use moe_lab::analyze::AnalyzeError;
use moe_lab::report::ReportError;
use moe_lab::runs::RunsError;
use moe_train::run::RunError;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;

/// The ends of commands that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It did all that it was asked to. Exit code 0.
    Done,
    /// It found something wrong, and has said so. Exit code 1.
    Unhealthy,
    /// It finished, but what it measured is not within its tolerance, or speaks against a claim. Exit
    /// code 3.
    BelowThreshold,
    /// It did what was left to it, and other processes are still at the rest. Exit code 4.
    OthersAtWork,
    /// It was interrupted, and has saved. Exit code 130.
    Interrupted,
}

/// An error of the command line or the configuration: exit code 2.
#[derive(Debug)]
pub struct Usage(anyhow::Error);

impl Usage {
    /// A usage error with a message.
    pub fn error(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> anyhow::Error {
        Self(anyhow::Error::msg(message)).into()
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Usage {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// Marks the errors of a result as usage errors.
pub trait OrUsage<T> {
    /// The same result, its error a [`Usage`].
    fn or_usage(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrUsage<T> for Result<T, E> {
    fn or_usage(self) -> anyhow::Result<T> {
        self.map_err(|error| Usage(error.into()).into())
    }
}

/// An error of a run: of its configuration, its data or its path, or a failure.
pub fn run_error(error: RunError) -> anyhow::Error {
    let is_usage = is_usage(&error);
    classified(error, is_usage)
}

/// An error of an ablation: of its configurations or its data, or a failure.
pub fn ablate_error(error: AblateError) -> anyhow::Error {
    let is_usage = match &error {
        AblateError::Grid(_)
        | AblateError::Claim(_)
        | AblateError::Sweep { .. }
        | AblateError::OtherSeeds { .. }
        | AblateError::Seeds { .. }
        | AblateError::Seen(_)
        | AblateError::Unordered { .. }
        | AblateError::Tune(_)
        | AblateError::Scale(_)
        | AblateError::Arm { .. } => true,
        AblateError::Run { source, .. } => is_usage(source),
        AblateError::Table(_) => false,
    };
    classified(error, is_usage)
}

/// An error of an analysis: of its run, its data or its arguments.
pub fn analyze_error(error: AnalyzeError) -> anyhow::Error {
    match error {
        AnalyzeError::Run(error) => run_error(error),
        other => classified(other, true),
    }
}

/// An error of a report: of its paths, or of a run.
pub fn report_error(error: ReportError) -> anyhow::Error {
    match error {
        ReportError::Run(error) => run_error(error),
        other => classified(other, true),
    }
}

/// An error of a list, a comparison or an export of runs: of its paths and filters, or of a run.
pub fn runs_error(error: RunsError) -> anyhow::Error {
    match error {
        RunsError::Find(error) => report_error(error),
        RunsError::Run(error) => run_error(error),
        other => classified(other, true),
    }
}

fn is_usage(error: &RunError) -> bool {
    matches!(
        error,
        RunError::Config(_)
            | RunError::Data(_)
            | RunError::Mesh(_)
            | RunError::Rank(_)
            | RunError::NotShared(_)
            | RunError::NotARun(_)
            | RunError::DataChanged { .. }
            | RunError::OtherShapes { .. }
    )
}

fn classified(
    error: impl std::error::Error + Send + Sync + 'static,
    is_usage: bool,
) -> anyhow::Error {
    if is_usage {
        Usage(error.into()).into()
    } else {
        error.into()
    }
}

/// Runs a command and turns how it ended into an exit code; errors go to stderr.
pub fn run(command: impl FnOnce() -> anyhow::Result<Status>) -> ExitCode {
    panic::set_hook(Box::new(print_panic));
    match panic::catch_unwind(AssertUnwindSafe(command)) {
        Ok(Ok(Status::Done)) => ExitCode::SUCCESS,
        Ok(Ok(Status::Interrupted)) => ExitCode::from(130),
        Ok(Ok(Status::BelowThreshold)) => ExitCode::from(3),
        Ok(Ok(Status::OthersAtWork)) => ExitCode::from(4),
        Ok(Err(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            say(format!("error: {}", message(&error)));
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
        Ok(Ok(Status::Unhealthy)) | Err(_) => ExitCode::FAILURE,
    }
}

/// The error and its causes, without those that the text before them already tells.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Tells whether the reader of stdout has gone, as in `moe list | head -1`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Prints a panic, unless it becomes an error that is told in its place.
fn print_panic(info: &PanicHookInfo<'_>) {
    if is_guarded() {
        return;
    }
    let place = info.location().map_or(String::new(), |l| format!(" ({l})"));
    say(format!(
        "error: {}{place}. This is a bug in moe: please report it with the command that you ran",
        panic_text(info.payload())
    ));
}

/// The text of a panic.
pub fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no reason given".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_that_the_error_names_is_not_repeated() {
        let cause = || io::Error::other("disk full");
        let named = Err::<(), _>(cause()).context("cannot write x: disk full");
        let unnamed = Err::<(), _>(cause()).context("cannot write x");
        for result in [named, unnamed] {
            let error = result.expect_err("it is an error");
            assert_eq!(message(&error), "cannot write x: disk full");
        }
    }

    #[test]
    fn usage_keeps_the_message() {
        let error = Err::<(), _>(io::Error::other("no such key")).or_usage();
        let error = error.expect_err("it is an error");
        assert!(error.is::<Usage>());
        assert_eq!(message(&error), "no such key");
    }
}
