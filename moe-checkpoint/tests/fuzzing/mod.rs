//! What the tests with damaged inputs share: how many there are, and how JSON is damaged.

#![allow(dead_code, reason = "each test uses a part")]

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// The number of mutations: `MOE_FUZZ` if it is set, for a long run.
pub fn mutations(default: u64) -> u64 {
    match std::env::var("MOE_FUZZ") {
        Ok(n) => n.parse().expect("MOE_FUZZ is a number of mutations"),
        Err(_) => default,
    }
}

/// Values that break things: sizes, signs, types, structure.
fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(0),
        json!(1),
        json!(2),
        json!(3),
        json!(-1),
        json!(7),
        json!(1 << 20),
        json!((1 << 20) + 1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.5),
        json!(-0.0),
        json!(1e-320),
        json!(1e308),
        json!(true),
        json!(false),
        json!(""),
        json!("yarn"),
        json!("\u{0}\u{1b}[2J"),
        json!([]),
        json!([0, u32::MAX]),
        json!({}),
        json!({"type": "yarn"}),
    ]
}

/// Replaces, removes, renames or doubles one field, somewhere.
pub fn mutate_json(value: &mut Value, rng: &mut ChaCha8Rng) {
    let is_here = rng.random_range(0..3) == 0;
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let keys: Vec<String> = fields.keys().cloned().collect();
            let key = &keys[rng.random_range(0..keys.len())];
            let is_leaf = !matches!(fields[key], Value::Object(_) | Value::Array(_));
            if !is_here && !is_leaf {
                return mutate_json(&mut fields[key], rng);
            }
            let values = values();
            let other = values[rng.random_range(0..values.len())].clone();
            match rng.random_range(0..8) {
                0 => drop(fields.remove(key)),
                1 => {
                    let value = fields.remove(key).expect("it is there");
                    fields.insert(format!("{key}_"), value);
                }
                2 => {
                    let from = keys[rng.random_range(0..keys.len())].clone();
                    fields[key] = fields[&from].clone();
                }
                _ => fields[key] = other,
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let i = rng.random_range(0..list.len());
            match rng.random_range(0..4) {
                0 => drop(list.remove(i)),
                1 => list.push(list[i].clone()),
                _ => mutate_json(&mut list[i], rng),
            }
        }
        other => {
            let values = values();
            *other = values[rng.random_range(0..values.len())].clone();
        }
    }
}

/// Damages bytes: flips, cuts, doubles, overwrites.
pub fn mutate_bytes(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.random_range(0..bytes.len());
    let end = (at + rng.random_range(1..24)).min(bytes.len());
    match rng.random_range(0..6) {
        0 => bytes[at] = rng.random(),
        1 => bytes[at] ^= 1 << rng.random_range(0..8),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => bytes.extend_from_within(at..end),
        _ => bytes[at] = b"{}[]\",:0"[rng.random_range(0..8)],
    }
}
