//! Progress of training and scoring on stderr: a bar on a terminal, plain lines elsewhere.

mod eta;
mod loss_unit;
mod words;

use super::say;
use crate::shared::Shared;
use console::Term;
use eta::Pace;
use indicatif::{ProgressBar, ProgressStyle};
use loss_unit::LossUnit;
use moe_train::run::{EvalMetrics, Event, Observer, StepMetrics};
use moe_train::task::{Merit, TaskSummary};
use moe_view::{counted, duration, significant, thousands};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};
use words::{loading, parameters, scored, sizes, windows};

/// Shows the events of one run or of several, one after the other.
#[derive(Debug)]
pub struct Progress {
    look: Look,
    log_every: u64,
    n_runs: usize,
    run: usize,
    total_steps: u64,
    started: Instant,
    loss: LossUnit,
    windows: &'static str,
    steps: Pace,
    scoring: Pace,
    scoring_since: Instant,
    last_line: Instant,
    validation: Option<Score>,
    is_waiting: bool,
}

#[derive(Debug)]
enum Look {
    Quiet,
    /// A line for each finished run alone.
    Finished,
    Lines,
    Bar(ProgressBar),
}

/// A score with its unit.
#[derive(Debug, Clone)]
struct Score {
    value: String,
    unit: &'static str,
}

impl Progress {
    /// The narrowest terminal that shows a bar beside the figures.
    const WIDTH_OF_BAR: u16 = 96;
    /// The time between two lines about an evaluation where there is no bar.
    const LINE_EVERY: Duration = Duration::from_secs(10);

    /// Progress of `n_runs` runs that log every `log_every` steps.
    pub fn new(shared: &Shared, n_runs: usize, log_every: u64) -> Self {
        let look = if shared.quiet {
            Look::Quiet
        } else if io::stderr().is_terminal() {
            Look::Bar(ProgressBar::new(0))
        } else {
            Look::Lines
        };
        Self::with_look(look, n_runs, log_every)
    }

    /// Progress of a process that helps another: a line for each run that it finishes.
    pub fn of_finished_runs(shared: &Shared) -> Self {
        let look = if shared.quiet {
            Look::Quiet
        } else {
            Look::Finished
        };
        Self::with_look(look, 1, 1)
    }

    fn with_look(look: Look, n_runs: usize, log_every: u64) -> Self {
        let now = Instant::now();
        Self {
            look,
            log_every,
            n_runs,
            run: 0,
            total_steps: 0,
            started: now,
            loss: LossUnit::NATS_PER_TOKEN,
            windows: "windows",
            steps: Pace::default(),
            scoring: Pace::default(),
            scoring_since: now,
            last_line: now,
            validation: None,
            is_waiting: false,
        }
    }

    fn opened(&mut self, folder: &Path) {
        self.run += 1;
        self.validation = None;
        let which = match self.n_runs {
            1 => String::new(),
            n => format!("{} of {n}: ", self.run),
        };
        self.say(&format!("run   {which}{}", folder.display()));
    }

    fn begin(&mut self, data: &TaskSummary, total_steps: u64) {
        self.total_steps = total_steps;
        self.steps = Pace::default();
        self.started = Instant::now();
        self.loss = LossUnit::of(data);
        self.windows = windows(data);
    }

    /// A line that stays: the run, its score and its time.
    fn finished(&self, folder: &Path, score: f64, merit: Merit, wall_s: f64) {
        let score = significant(merit.scale() * score, 4);
        let (unit, time) = (merit.unit(), duration(wall_s));
        let line = format!("done  {}  {score} {unit}  {time}", folder.display());
        match &self.look {
            Look::Finished => say(line),
            Look::Quiet | Look::Lines | Look::Bar(_) => self.say(&line),
        }
    }

    /// Says once that other processes are waited for.
    fn waiting(&mut self, runs: usize) {
        if !std::mem::replace(&mut self.is_waiting, true) {
            let runs = counted(runs, "run");
            self.say(&format!("waiting for {runs} that another process trains"));
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
            Look::Quiet | Look::Finished => (),
            Look::Lines => say(text),
            Look::Bar(bar) => bar.suspend(|| say(text)),
        }
    }

    fn show(&self, position: u64, message: String) {
        if let Look::Bar(bar) = &self.look {
            let width = Term::stderr().size_checked().map(|(_, columns)| columns);
            bar.set_style(style(template(self.total_steps, width)));
            bar.set_length(self.total_steps);
            bar.set_position(position);
            bar.set_message(message);
        }
    }

    fn step(&mut self, metrics: &StepMetrics) {
        let left = self
            .steps
            .seconds_left(self.started.elapsed(), metrics.step, self.total_steps);
        let figures = self.figures(metrics, left);
        let is_last = metrics.step == self.total_steps;
        if matches!(self.look, Look::Lines)
            && (is_last || metrics.step.is_multiple_of(self.log_every))
        {
            say(format!(
                "step {}/{}  {figures}",
                metrics.step, self.total_steps
            ));
        }
        self.show(metrics.step, figures);
    }

    /// The loss and the time left first: a narrow terminal cuts the rest.
    fn figures(&self, metrics: &StepMetrics, left: Option<f64>) -> String {
        let loss = significant(metrics.lm_loss * self.loss.per_nat, 4);
        let eta = left.map_or(String::new(), |left| format!("  eta {}", duration(left)));
        let speed = thousands(metrics.tokens_per_s.max(0.0) as u64);
        let unit = self.loss.name;
        match &self.validation {
            Some(score) => format!(
                "loss {loss} {unit}{eta}  val {} {}  {speed} tok/s",
                score.value, score.unit
            ),
            None => format!("loss {loss} {unit}{eta}  {speed} tok/s"),
        }
    }

    fn evaluating(&mut self, done: usize, of: usize) {
        if done == 0 {
            (self.scoring, self.scoring_since) = (Pace::default(), Instant::now());
            self.last_line = self.scoring_since;
        }
        let (now, windows) = (self.scoring_since.elapsed(), self.windows);
        let left = self.scoring.seconds_left(now, done as u64, of as u64);
        let eta = left.map_or(String::new(), |left| format!("  eta {}", duration(left)));
        let (done, of) = (thousands(done as u64), thousands(of as u64));
        let text = format!("evaluating {done}/{of} {windows}{eta}");
        match &self.look {
            Look::Quiet | Look::Finished => {}
            Look::Lines if self.last_line.elapsed() < Self::LINE_EVERY => {}
            Look::Lines => {
                self.last_line = Instant::now();
                say(text);
            }
            Look::Bar(bar) => self.show(bar.position(), text),
        }
    }

    /// Leaves a line, so that the course of the run can be read when the bar is gone.
    fn evaluated(&mut self, metrics: &EvalMetrics) {
        let merit = metrics.merit();
        let score = Score {
            value: significant(merit.scale() * metrics.score(), 4),
            unit: merit.unit(),
        };
        let taken = duration(self.started.elapsed().as_secs_f64());
        self.say(&format!(
            "step {}  val {} {}  {taken}",
            metrics.step, score.value, score.unit
        ));
        self.validation = Some(score);
    }
}

impl Observer for Progress {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Opened { folder } => self.opened(folder),
            Event::Waiting { runs } => self.waiting(runs),
            Event::Loading { data, vocab_size } => self.say(&loading(data, vocab_size)),
            Event::Started {
                data,
                account,
                total_steps,
                resumed_at,
                final_windows,
                all_windows,
            } => {
                self.begin(data, total_steps);
                self.say(&format!("data  {}", sizes(data)));
                self.say(&format!("model {}", parameters(account)));
                if final_windows < all_windows {
                    let of = scored(final_windows, all_windows, self.windows);
                    self.say(&format!("eval  {of}"));
                }
                if let Some(step) = resumed_at {
                    self.say(&format!("going on after step {step}"));
                }
            }
            Event::Step(metrics) => self.step(metrics),
            Event::Evaluating { done, of } => self.evaluating(done, of),
            Event::Evaluated(metrics) => self.evaluated(metrics),
            Event::Saved { .. } => (),
            Event::Finished {
                folder,
                score,
                merit,
                wall_s,
            } if self.n_runs > 1 || matches!(self.look, Look::Finished) => {
                self.finished(folder, score, merit, wall_s);
            }
            Event::Finished { .. } => (),
        }
    }
}

/// The bar is given up first. Work without steps has none.
fn template(total_steps: u64, width: Option<u16>) -> &'static str {
    match (total_steps, width) {
        (0, _) => "{wide_msg}",
        (_, Some(width)) if width < Progress::WIDTH_OF_BAR => "{pos}/{len}  {wide_msg}",
        _ => "{bar:16} {pos}/{len}  {wide_msg}",
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are checked by a test")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::LN_2;

    fn metrics(step: u64) -> StepMetrics {
        StepMetrics {
            step,
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
        }
    }

    #[test]
    fn a_line_of_figures_begins_with_what_matters() {
        let mut progress = Progress::with_look(Look::Quiet, 1, 10);
        assert_eq!(
            progress.figures(&metrics(60), None),
            "loss 2.345 nats/token  12,300 tok/s"
        );
        progress.validation = Some(Score {
            value: "2.602".to_owned(),
            unit: "bits/byte",
        });
        progress.loss = LossUnit {
            name: "bits/byte",
            per_nat: 1.0 / LN_2,
        };
        // 2.3451 / ln 2
        assert_eq!(
            progress.figures(&metrics(60), Some(80.0)),
            "loss 3.383 bits/byte  eta 1m20s  val 2.602 bits/byte  12,300 tok/s"
        );
    }

    #[test]
    fn a_narrow_terminal_has_no_bar_and_all_looks_are_templates() {
        for (steps, width, has_bar) in [
            (0, Some(200), false),
            (100, Some(52), false),
            (100, Some(120), true),
            (100, None, true),
        ] {
            let template = template(steps, width);
            assert_eq!(template.contains("{bar"), has_bar, "{steps} {width:?}");
            style(template);
        }
    }
}
