//! The section on how runs were made: versions, devices, commands.

use super::super::html::{Column, Html, Table};
use crate::{bytes, duration};
use crate::{last_parts, quote};
use moe_lab::report::{Report, Run};
use moe_train::run::Manifest;

/// The command of each run, and with what it was made.
pub fn origins(report: &Report) -> Html {
    let mut table = Table::new("Versions, devices and times of the runs")
        .column(Column::Name, "run")
        .column(Column::Name, "begun (UTC)")
        .column(Column::Name, "device")
        .column(Column::Name, "host")
        .column(Column::Number, "threads")
        .column(Column::Name, "moe")
        .column(Column::Name, "Burn")
        .column(Column::Name, "commit")
        .column(Column::Number, "time")
        .column(Column::Number, "peak memory");
    for run in report.runs() {
        table.row(cells(run));
    }
    let commands: Vec<String> = report.runs().map(command).collect();
    let commands = Html::element("pre", "tabindex=\"0\"", Html::text(&commands.join("\n"))).line();
    let heading = Html::element("h3", "", Html::text("Commands")).line();
    table.finish().then(heading).then(commands)
}

fn cells(run: &Run) -> Vec<Html> {
    let name = Html::text(&name(run));
    let Some(manifest) = &run.manifest else {
        return vec![name, Html::text("no manifest")];
    };
    let measured = |text: String| {
        if manifest.wall_s > 0.0 {
            text
        } else {
            "–".to_owned()
        }
    };
    let commit: String = manifest.commit.chars().take(10).collect();
    let texts = [
        utc(manifest.started_at),
        manifest.device.clone(),
        manifest.host.clone(),
        manifest.threads.to_string(),
        manifest.version.clone(),
        manifest.burn.clone(),
        if commit.is_empty() {
            "–".to_owned()
        } else {
            commit
        },
        measured(duration(manifest.wall_s)),
        measured(bytes(manifest.peak_memory_bytes)),
    ];
    let texts = texts.iter().map(|text| Html::text(text));
    [name].into_iter().chain(texts).collect()
}

/// The folder of the configuration and the seed's.
fn name(run: &Run) -> String {
    last_parts(&run.folder, 2)
}

fn command(run: &Run) -> String {
    let argv = |manifest: &Manifest| {
        let words: Vec<String> = manifest.argv.iter().map(|word| quote(word)).collect();
        words.join(" ")
    };
    let command = run
        .manifest
        .as_ref()
        .map(argv)
        .filter(|text| !text.is_empty());
    format!(
        "# {}\n{}",
        name(run),
        command.unwrap_or("# not known".to_owned())
    )
}

/// Seconds since 1970 as a date and time, by the civil calendar (days from the first of March of year 0).
fn utc(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute) = (of_day / 3_600, of_day % 3_600 / 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_by_the_civil_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00");
        assert_eq!(utc(1_793_000_000), "2026-10-26 07:33");
    }
}
