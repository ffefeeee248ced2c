//! The process of a program: one question, one answer.

use super::ProgramError;
use super::message::{Answer, Question};
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Time for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest answer, in bytes: cases have 45 tokens at most.
const LONGEST: u64 = 1 << 24;

/// A program that runs until it is dropped, or until its first fault.
#[derive(Debug)]
pub(super) struct Process {
    command: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<io::Result<Vec<u8>>>,
    fault: Option<ProgramError>,
}

impl Process {
    /// Starts the command in a shell.
    pub(super) fn start(command: &str) -> Result<Self, ProgramError> {
        let fault = |why: &dyn ToString| ProgramError::Start {
            command: command.to_owned(),
            why: why.to_string(),
        };
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| fault(&error))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| fault(&"it has no pipes"))?;
        Ok(Self {
            command: command.to_owned(),
            state: Mutex::new(State {
                child,
                input: Some(input),
                answers: read_in_background(output),
                fault: None,
            }),
        })
    }

    /// Asks one question. After a fault each answer is that fault.
    pub(super) fn ask(&self, question: &Question<'_>) -> Result<Answer, ProgramError> {
        let mut state = self.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        let answer = self
            .exchange(&mut state, &question.to_bytes())
            .and_then(|bytes| {
                Answer::read(&bytes, question.shape()).map_err(|why| ProgramError::Answer {
                    command: self.command.clone(),
                    why,
                })
            });
        answer.inspect_err(|error| state.fault = Some(error.clone()))
    }

    /// The first fault, if there was one.
    pub(super) fn fault(&self) -> Option<ProgramError> {
        self.lock().fault.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // a law that panics elsewhere leaves the state as it is
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exchange(&self, state: &mut State, question: &[u8]) -> Result<Vec<u8>, ProgramError> {
        let Some(input) = &mut state.input else {
            return Err(self.ended(state));
        };
        let length = (question.len() as u64).to_le_bytes();
        let sent = input
            .write_all(&length)
            .and_then(|()| input.write_all(question));
        if sent.and_then(|()| input.flush()).is_err() {
            return Err(self.ended(state));
        }
        match state.answers.recv_timeout(PATIENCE) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                Err(ProgramError::Answer {
                    command: self.command.clone(),
                    why: error.to_string(),
                })
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Err(self.ended(state)),
            Err(RecvTimeoutError::Timeout) => Err(ProgramError::Silent {
                command: self.command.clone(),
                seconds: PATIENCE.as_secs(),
            }),
        }
    }

    fn ended(&self, state: &mut State) -> ProgramError {
        state.input = None;
        ProgramError::Ended {
            command: self.command.clone(),
            status: match state.child.wait() {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.input = None;
        if matches!(
            state.fault,
            Some(ProgramError::Silent { .. } | ProgramError::Answer { .. })
        ) {
            // it may wait for something else than the end of its input; that it ended already is as well
            let _ = state.child.kill();
        }
        let _ = state.child.wait();
    }
}

/// Reads messages by a thread of their own, so that a program may be given up.
fn read_in_background(mut output: ChildStdout) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, answers) = channel();
    thread::spawn(move || {
        loop {
            let answer = read_message(&mut output);
            let is_last = answer.is_err();
            if sender.send(answer).is_err() || is_last {
                break;
            }
        }
    });
    answers
}

fn read_message(output: &mut ChildStdout) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    output.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        let why = format!(
            "its length is {length} bytes, more than {LONGEST}; print to standard error, not to standard output"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut bytes = vec![0; length as usize];
    output.read_exact(&mut bytes)?;
    Ok(bytes)
}
