//! An event file of TensorBoard: records that hold the message `Event` of TensorFlow's `event.proto`.
//!
//! ```text
//! Event    1: wall_time (double)   2: step (varint)   3: file_version   5: Summary   10: source_metadata { 1: writer }
//! Summary  1: Value { 1: tag   2: simple_value (float) }, one a number
//! ```

use super::record::write_record;
use super::{ExportError, Exported, each_line};
use moe_lab::runs::{ExportedRun, MetricLine, MetricRow};
use std::io::Write;

/// The name of the file in a run's folder. TensorBoard reads every file whose name has `tfevents` in it; a name
/// without a time is replaced by the next export.
pub const EVENTS_FILE: &str = "events.out.tfevents.moe";

/// The version that TensorBoard asks for.
const VERSION: &str = "brain.Event:2";

// the key of a protobuf field: its number in the bits above the third, its kind in the three below
const WALL_TIME: u8 = (1 << 3) | FIXED_64;
const STEP: u8 = (2 << 3) | VARINT;
const FILE_VERSION: u8 = (3 << 3) | BYTES;
const SUMMARY: u8 = (5 << 3) | BYTES;
const SOURCE_METADATA: u8 = (10 << 3) | BYTES;
const WRITER: u8 = (1 << 3) | BYTES;
const VALUE: u8 = (1 << 3) | BYTES;
const TAG: u8 = (1 << 3) | BYTES;
const SIMPLE_VALUE: u8 = (2 << 3) | FIXED_32;

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;
const FIXED_32: u8 = 5;

/// Writes the numbers of a run: a record that says the version and the program, then one a logged line. A value has
/// the precision of `f32`. Steps have the times of [`ExportedRun::time_of`].
///
/// # Errors
///
/// Returns an error if the run cannot be read or the file not be written.
pub fn write_events(
    run: &ExportedRun,
    maker: &str,
    out: &mut dyn Write,
) -> Result<Exported, ExportError> {
    write_record(out, &version_event(run.time_of(0), maker))?;
    each_line(run, |line| {
        let event = scalar_event(run.time_of(line.step), line);
        Ok(write_record(out, &event)?)
    })
}

/// The text at the beginning of a file that the named program wrote.
pub fn event_mark(maker: &str) -> String {
    String::from_utf8_lossy(&version_fields(maker)).into_owned()
}

fn version_event(wall_time: f64, maker: &str) -> Vec<u8> {
    let mut event = vec![WALL_TIME];
    event.extend(wall_time.to_le_bytes());
    event.extend(version_fields(maker));
    event
}

fn version_fields(maker: &str) -> Vec<u8> {
    let mut writer = Vec::new();
    add_bytes(&mut writer, WRITER, maker.as_bytes());
    let mut fields = Vec::new();
    add_bytes(&mut fields, FILE_VERSION, VERSION.as_bytes());
    add_bytes(&mut fields, SOURCE_METADATA, &writer);
    fields
}

fn scalar_event(wall_time: f64, line: &MetricLine) -> Vec<u8> {
    let mut summary = Vec::new();
    for row in &line.rows {
        let mut value = Vec::new();
        add_bytes(&mut value, TAG, tag(row).as_bytes());
        value.push(SIMPLE_VALUE);
        value.extend((row.value as f32).to_le_bytes());
        add_bytes(&mut summary, VALUE, &value);
    }
    let mut event = vec![WALL_TIME];
    event.extend(wall_time.to_le_bytes());
    event.push(STEP);
    add_varint(&mut event, line.step);
    add_bytes(&mut event, SUMMARY, &summary);
    event
}

/// The name of a curve: `train/loss`, `train/max_vio/layer_0`, `train/load_share/layer_0/expert_3`.
fn tag(row: &MetricRow) -> String {
    let mut tag = row.metric.clone();
    if let Some(layer) = row.layer {
        tag.push_str(&format!("/layer_{layer}"));
    }
    if let Some(expert) = row.expert {
        tag.push_str(&format!("/expert_{expert}"));
    }
    tag
}

/// Adds a field of bytes: a text or a message.
fn add_bytes(message: &mut Vec<u8>, key: u8, bytes: &[u8]) {
    message.push(key);
    add_varint(message, bytes.len() as u64);
    message.extend(bytes);
}

/// Adds an integer in pieces of seven bits, the lowest first. The highest bit of a byte says that another follows.
fn add_varint(message: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            message.push(low);
            return;
        }
        message.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::read_records;
    use super::*;

    fn row(layer: Option<usize>, expert: Option<usize>, metric: &str, value: f64) -> MetricRow {
        MetricRow {
            layer,
            expert,
            metric: metric.to_owned(),
            value,
        }
    }

    #[test]
    fn a_file_begins_with_its_version_and_its_program() {
        let mut file = Vec::new();
        write_record(&mut file, &version_event(1.0, "moe export")).expect("memory takes all");
        let text = String::from_utf8_lossy(&file);
        assert!(text.contains(&event_mark("moe export")), "{text:?}");
        assert!(!text.contains(&event_mark("moe report")), "{text:?}");
        // 1.0 is 0x3ff0000000000000; 13 characters of the version, 12 bytes of a message of 10 characters
        let mut event = vec![0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x1a, 13];
        event.extend(b"brain.Event:2");
        event.extend([0x52, 12, 0x0a, 10]);
        event.extend(b"moe export");
        assert_eq!(read_records(&file), [event]);
    }

    #[test]
    fn an_event_holds_the_numbers_of_a_line() {
        let line = MetricLine {
            step: 300,
            rows: vec![
                row(None, None, "train/loss", 1.0),
                row(Some(0), Some(1), "t/s", 0.25),
            ],
        };
        // 300 is 0b10_0101100: 0x2c with the bit for more, then 2
        let mut event = vec![0x09, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x10, 0xac, 0x02];
        // 2 + 17 and 2 + 27 bytes of the two values
        event.extend([0x2a, 48]);
        // 1.0 is 0x3f800000 in f32; 2 + 10 + 5 bytes
        event.extend([0x0a, 17, 0x0a, 10]);
        event.extend(b"train/loss");
        event.extend([0x15, 0, 0, 0x80, 0x3f]);
        // 0.25 is 0x3e800000; 2 + 20 + 5 bytes
        event.extend([0x0a, 27, 0x0a, 20]);
        event.extend(b"t/s/layer_0/expert_1");
        event.extend([0x15, 0, 0, 0x80, 0x3e]);
        assert_eq!(scalar_event(2.0, &line), event);
    }

    #[test]
    fn tags_name_the_layer_and_the_expert() {
        assert_eq!(tag(&row(None, None, "train/loss", 0.0)), "train/loss");
        let tag = tag(&row(Some(2), None, "train/max_vio", 0.0));
        assert_eq!(tag, "train/max_vio/layer_2");
    }
}
