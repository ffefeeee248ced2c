//! The script that starts workers as the tasks of an array of Slurm.

use super::ClusterArgs;
use crate::invocation::program_anywhere;
use moe_view::quote;
use std::env;
use std::fmt;

/// The most tasks of an array: a worker takes several runs, and clusters bound the size of arrays.
const MOST_TASKS: usize = 64;

/// A script for `sbatch`.
#[derive(Debug)]
pub(super) struct Script {
    missing: usize,
    /// The options of `sbatch`, those of the reader last.
    options: Vec<String>,
    worker: String,
}

impl Script {
    /// The script for so many missing runs, whose tasks are this process's own command as workers.
    pub(super) fn new(args: &ClusterArgs, missing: usize) -> anyhow::Result<Self> {
        let own = env::args().skip(1).collect();
        let mut worker = vec![program_anywhere()?];
        worker.extend(as_worker(own).iter().map(|word| quote(word)));
        Ok(Self {
            missing,
            options: options(missing, args.throttle, &args.sbatch),
            worker: worker.join(" "),
        })
    }
}

/// The arguments of a command that prints a script, as those of a worker.
fn as_worker(arguments: Vec<String>) -> Vec<String> {
    let mut worker = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(word) = arguments.next() {
        let name = word.split('=').next().unwrap_or_default();
        match name {
            "--" => {
                worker.push(word);
                worker.extend(arguments.by_ref());
            }
            "--submit" | "--sbatch" | "--throttle" => {
                if name == word {
                    arguments.next();
                }
            }
            "--dry-run" => {}
            _ => worker.push(word),
        }
    }
    // behind the command's name, where nothing can be taken for its value
    worker.insert(1.min(worker.len()), "--worker".to_owned());
    worker
}

/// The options of the array; those of the reader replace ours of the same name.
fn options(missing: usize, throttle: Option<u64>, given: &[String]) -> Vec<String> {
    let last = missing.min(MOST_TASKS) - 1;
    let throttle = throttle.map_or(String::new(), |n| format!("%{n}"));
    let own = [
        "--job-name=moe".to_owned(),
        format!("--array=0-{last}{throttle}"),
        "--signal=TERM@90".to_owned(),
        "--requeue".to_owned(),
        "--open-mode=append".to_owned(),
        "--output=moe-%A_%a.log".to_owned(),
    ];
    let name = |option: &str| option.split(['=', ' ']).next().unwrap_or("").to_owned();
    let is_given = |own: &String| given.iter().any(|given| name(given) == name(own));
    let kept = own.into_iter().filter(|own| !is_given(own));
    kept.chain(given.iter().cloned()).collect()
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "#!/bin/bash")?;
        for option in &self.options {
            writeln!(f, "#SBATCH {option}")?;
        }
        write!(
            f,
            r#"
# Runs that are missing: {}. Each task makes runs that nobody has until none is left, so that tasks may be added, ended and
# lost. The last one prints the table.
export RAYON_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-1}}"
srun --ntasks=1 --cpus-per-task="${{SLURM_CPUS_PER_TASK:-1}}" {}
code=$?

# 130: interrupted and saved; the same task goes on from there.
if [ "$code" = 130 ]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
# 4: nothing is left for this task, and others are still at their runs.
if [ "$code" = 4 ]; then
    code=0
fi
exit "$code""#,
            self.missing, self.worker
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_worker_has_the_arguments_that_are_not_the_scripts() {
        for (line, worker) in [
            ("ablate a.toml --submit slurm", "ablate --worker a.toml"),
            (
                "ablate --submit=slurm a.toml -x a.b=1,2 --sbatch --time=1 --throttle 4 -q",
                "ablate --worker a.toml -x a.b=1,2 -q",
            ),
            (
                "ablate --sbatch=--time=1 --submit slurm --dry-run -- a.toml --submit=x",
                "ablate --worker -- a.toml --submit=x",
            ),
        ] {
            assert_eq!(as_worker(words(line)), words(worker), "{line}");
        }
    }

    #[test]
    fn options_of_the_reader_replace_ours() {
        let given = ["--output=a.log".to_owned(), "-p gpu".to_owned()];
        let options = options(100, Some(8), &given);
        assert_eq!(options[1], "--array=0-63%8");
        assert_eq!(options[options.len() - 2..], given);
        let outputs = options.iter().filter(|o| o.starts_with("--output"));
        assert_eq!(outputs.count(), 1);
    }
}
