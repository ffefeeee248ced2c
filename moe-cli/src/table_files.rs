//! The files that a table of arms is written to: for a paper, as Markdown, as a figure.

use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use clap::Args;
use moe_lab::ablate::AblationReport;
use moe_view::ablation::{AblationTable, FigureConfig, figure};
use std::path::{Path, PathBuf};

/// The flags of a table's files.
#[derive(Args, Debug)]
pub struct TableFiles {
    /// Write the table for a paper (.tex)
    #[arg(long, value_name = "FILE")]
    latex: Option<PathBuf>,
    /// Write the table as Markdown (.md)
    #[arg(long, value_name = "FILE")]
    md: Option<PathBuf>,
    /// Write a figure of the arms (.svg, .png or .pdf)
    #[arg(short = 'o', long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// A line above the figure
    #[arg(long, value_name = "TEXT", requires = "svg")]
    pub title: Option<String>,
    #[command(flatten)]
    pub overwrite: Overwrite,
}

/// Files that were looked at before any work.
#[derive(Debug)]
pub struct TableTargets {
    latex: Option<Target>,
    md: Option<Target>,
    figure: Option<Target>,
}

impl TableFiles {
    /// Checks the files before any work; `maker` is the command that writes them.
    pub fn targets(&self, maker: &'static str) -> anyhow::Result<TableTargets> {
        let target = |path: &Option<PathBuf>, flag, kind| {
            let output = Output { flag, maker, kind };
            Target::of(path.as_deref(), output, self.overwrite)
        };
        Ok(TableTargets {
            latex: target(&self.latex, "--latex", Kind::Latex)?,
            md: target(&self.md, "--md", Kind::Markdown)?,
            figure: target(&self.svg, "--svg", Kind::Picture)?,
        })
    }
}

impl TableTargets {
    /// Writes what was asked for; in a dry run says so.
    pub fn write(
        &self,
        report: &AblationReport,
        drawn: &FigureConfig,
        shared: &Shared,
    ) -> anyhow::Result<()> {
        let table = AblationTable(report);
        let write = |target: &Option<Target>, text: &dyn Fn() -> String| match target {
            Some(target) if shared.dry_run => {
                let path: &Path = target.path();
                shared.note(&format!("would write {}", path.display()));
                Ok(())
            }
            Some(target) => target.write(&text(), shared),
            None => Ok(()),
        };
        write(&self.latex, &|| table.latex())?;
        write(&self.md, &|| table.markdown())?;
        write(&self.figure, &|| figure(report, drawn))
    }
}
