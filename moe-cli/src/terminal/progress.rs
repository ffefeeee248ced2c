//! Progress of training on stderr: a bar on a terminal, plain lines elsewhere.

use super::{counted, duration, say, si, significant, thousands};
use crate::shared::Shared;
use indicatif::{ProgressBar, ProgressStyle};
use moe_train::run::{Event, Observer, StepMetrics};
use moe_train::task::TaskSummary;
use std::io::{self, IsTerminal};
use std::time::Instant;

/// Shows the events of one run or of several, one after the other.
#[derive(Debug)]
pub struct Progress {
    look: Look,
    log_every: u64,
    n_runs: usize,
    run: usize,
    total_steps: u64,
    first_step: u64,
    started: Instant,
    validation: Option<String>,
}

#[derive(Debug)]
enum Look {
    Quiet,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    /// Progress of `n_runs` runs that log every `log_every` steps.
    pub fn new(shared: &Shared, n_runs: usize, log_every: u64) -> Self {
        let look = if shared.quiet {
            Look::Quiet
        } else if io::stderr().is_terminal() {
            Look::Bar(bar())
        } else {
            Look::Lines
        };
        Self {
            look,
            log_every,
            n_runs,
            run: 0,
            total_steps: 0,
            first_step: 0,
            started: Instant::now(),
            validation: None,
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Look::Bar(bar) = &self.look {
            bar.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        match &self.look {
            Look::Quiet => (),
            Look::Lines => say(text),
            Look::Bar(bar) => bar.suspend(|| say(text)),
        }
    }

    fn start(&mut self, total_steps: u64, resumed_at: Option<u64>) {
        self.run += 1;
        self.total_steps = total_steps;
        self.first_step = resumed_at.unwrap_or(0);
        self.started = Instant::now();
        self.validation = None;
        if let Look::Bar(bar) = &self.look {
            bar.set_length(total_steps);
            bar.set_position(self.first_step);
        }
    }

    fn step(&self, metrics: &StepMetrics) {
        let figures = self.figures(metrics);
        match &self.look {
            Look::Quiet => (),
            Look::Bar(bar) => {
                bar.set_position(metrics.step);
                bar.set_message(match metrics.step == self.total_steps {
                    true => "scoring the validation part".to_owned(),
                    false => figures,
                });
            }
            Look::Lines => {
                let is_last = metrics.step == self.total_steps;
                if is_last || metrics.step.is_multiple_of(self.log_every) {
                    say(format!(
                        "step {}/{}  {figures}",
                        metrics.step, self.total_steps
                    ));
                }
            }
        }
    }

    fn figures(&self, metrics: &StepMetrics) -> String {
        let validation = match &self.validation {
            Some(score) => format!("  val {score}"),
            None => String::new(),
        };
        format!(
            "loss {}{validation}  {} tok/s  eta {}",
            significant(metrics.lm_loss, 4),
            thousands(metrics.tokens_per_s.max(0.0) as u64),
            duration(self.seconds_left(metrics.step))
        )
    }

    /// The steps left at the mean time of those made, evaluations and checkpoints included.
    fn seconds_left(&self, step: u64) -> f64 {
        let made = step.saturating_sub(self.first_step).max(1) as f64;
        let left = self.total_steps.saturating_sub(step) as f64;
        self.started.elapsed().as_secs_f64() / made * left
    }
}

impl Observer for Progress {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Started {
                folder,
                data,
                account,
                total_steps,
                resumed_at,
            } => {
                self.start(total_steps, resumed_at);
                let which = match self.n_runs {
                    1 => String::new(),
                    n => format!("{} of {n}: ", self.run),
                };
                let resumed = resumed_at.map_or(String::new(), |step| {
                    format!(", going on after step {step}")
                });
                self.say(&format!("run   {which}{}{resumed}", folder.display()));
                self.say(&format!("data  {}", sizes(data)));
                self.say(&format!(
                    "model {} parameters, {} active a token",
                    si(account.params_total as f64),
                    si(account.params_active as f64)
                ));
            }
            Event::Step(metrics) => self.step(metrics),
            Event::Evaluated(metrics) => {
                let merit = metrics.merit();
                let score = significant(merit.scale() * metrics.score(), 3);
                self.validation = Some(format!("{score} {}", merit.unit()));
            }
            Event::Saved { .. } => (),
        }
    }
}

fn sizes(data: &TaskSummary) -> String {
    match data {
        TaskSummary::Text(text) => format!(
            "{}, {}, {} training tokens, vocabulary of {}",
            text.corpus,
            counted(text.domains.len(), "domain"),
            thousands(text.total().tokens[0] as u64),
            thousands(text.vocab_size as u64)
        ),
        TaskSummary::Images(images) => format!(
            "{}, {} classes, {} training images of {side} x {side} pixels",
            images.set,
            images.classes.len(),
            thousands(images.images[0] as u64),
            side = images.side,
        ),
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:16} {pos}/{len}  {wide_msg}")
        .expect("the template is checked by a test");
    ProgressBar::new(0).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(first_step: u64) -> Progress {
        Progress {
            look: Look::Bar(bar()),
            log_every: 10,
            n_runs: 1,
            run: 1,
            total_steps: 100,
            first_step,
            started: Instant::now() - std::time::Duration::from_secs(20),
            validation: Some("2.60 bits/byte".to_owned()),
        }
    }

    #[test]
    fn a_line_of_figures() {
        let metrics = StepMetrics {
            step: 60,
            tokens: 600,
            loss: 2.5,
            mtp_loss: None,
            accuracy: None,
            lm_loss: 2.3451,
            balance: Default::default(),
            lr: 1e-3,
            grad_norm: 1.0,
            layers: Vec::new(),
            tokens_per_s: 12_300.4,
        };
        // 10 steps took 20 s, 40 are left
        assert_eq!(
            progress(50).figures(&metrics),
            "loss 2.345  val 2.60 bits/byte  12,300 tok/s  eta 1m20s"
        );
    }
}
