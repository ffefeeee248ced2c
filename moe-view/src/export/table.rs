//! The long table of all logged numbers, as comma-separated values.

use super::{ExportError, Exported, each_line};
use moe_lab::runs::{ExportedRun, MetricLine};
use std::io::{self, Write};

/// The columns.
pub const HEADER: [&str; 7] = ["run", "seed", "step", "layer", "expert", "metric", "value"];

/// Writes one row a number. `layer` and `expert` are empty where a number is of no layer or of no expert; a value
/// reads back to the same bits.
///
/// # Errors
///
/// Returns an error if a run cannot be read or the table not be written.
pub fn write_table(runs: &[ExportedRun], out: &mut dyn Write) -> Result<Exported, ExportError> {
    let mut table = csv::Writer::from_writer(out);
    table.write_record(HEADER).map_err(io::Error::from)?;
    let mut exported = Exported::default();
    for run in runs {
        exported += each_line(run, |line| Ok(write_line(&mut table, run, line)?))?;
    }
    table.flush()?;
    Ok(exported)
}

fn write_line<W: Write>(
    table: &mut csv::Writer<W>,
    run: &ExportedRun,
    line: &MetricLine,
) -> io::Result<()> {
    let number = |place: Option<usize>| place.map_or(String::new(), |place| place.to_string());
    let (seed, step) = (run.seed.to_string(), line.step.to_string());
    for row in &line.rows {
        table.write_record([
            &run.name,
            &seed,
            &step,
            &number(row.layer),
            &number(row.expert),
            &row.metric,
            &shortest(row.value),
        ])?;
    }
    Ok(())
}

/// The shortest text that reads back to the same bits: `640`, `0.25`, `5e-6`.
fn shortest(value: f64) -> String {
    let mut text = format!("{value:?}");
    if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_lab::runs::MetricRow;

    #[test]
    fn a_table_reads_back() {
        let row = |layer, expert, metric: &str, value| MetricRow {
            layer,
            expert,
            metric: metric.to_owned(),
            value,
        };
        let line = MetricLine {
            step: 5,
            rows: vec![
                row(None, None, "validation/domains/a, \"b\"\nc", 0.1 + 0.2),
                row(Some(1), None, "train/max_vio", -1e-300),
                row(Some(1), Some(3), "train/load_share", 0.25),
            ],
        };
        let run = ExportedRun {
            folder: "runs/q/seed-7".into(),
            name: "q".to_owned(),
            seed: 7,
            started_at: 0,
            wall_s: 0.0,
            steps: 5,
        };
        let mut table = csv::Writer::from_writer(Vec::new());
        write_line(&mut table, &run, &line).expect("memory takes all");
        let bytes = table.into_inner().expect("memory takes all");
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader.has_headers(false).from_reader(bytes.as_slice());
        let rows: Vec<csv::StringRecord> =
            reader.records().map(|row| row.expect("a row")).collect();
        let place = |place: Option<usize>| place.map_or(String::new(), |place| place.to_string());
        assert_eq!(rows.len(), line.rows.len());
        for (read, row) in rows.iter().zip(&line.rows) {
            assert_eq!(
                [&read[0], &read[1], &read[2], &read[5]],
                ["q", "7", "5", &row.metric]
            );
            assert_eq!([&read[3], &read[4]], [place(row.layer), place(row.expert)]);
            let value: f64 = read[6].parse().expect("a number");
            assert_eq!(value.to_bits(), row.value.to_bits());
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (640.0, "640"),
            (0.25, "0.25"),
            (5e-6, "5e-6"),
            (1e20, "1e20"),
        ] {
            assert_eq!(shortest(value), text);
        }
    }

    #[test]
    fn a_table_without_runs_is_its_header() {
        let mut bytes = Vec::new();
        let exported = write_table(&[], &mut bytes).expect("memory takes all");
        assert_eq!(bytes, b"run,seed,step,layer,expert,metric,value\n");
        assert_eq!(exported, Exported::default());
    }
}
