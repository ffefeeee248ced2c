//! A program held to the laws: this test binary itself, started again as the program, plain or with a bug of the museum.
//!
//! Without a harness, whose output would stand among the answers.

#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use moe_lab::program::{ProgramError, ProgramKey, RouterProgram, check_program};
use moe_router::laws::{Options, Verdict};
use safetensors::tensor::{TensorView, serialize};
use safetensors::{Dtype, SafeTensors};
use std::io::{Read, Write, stdin, stdout};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().position(|arg| arg == "serve") {
        Some(at) => serve(&args[at + 1]),
        None => {
            // a law that cannot ask panics, and the fault is what is looked at
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                if !info.to_string().contains("--program") {
                    hook(info);
                }
            }));
            a_router_passes_and_bugs_are_named();
            faults_of_a_program_are_no_broken_laws();
            eprintln!("a program passes, two bugs are named, five faults are said");
        }
    }
}

fn program(rest: &str) -> RouterProgram {
    let own = std::env::current_exe().unwrap();
    RouterProgram {
        command: format!("'{}' serve {rest}", own.display()),
        takes: vec![ProgramKey::TopK],
        leaks: false,
    }
}

fn options() -> Options {
    Options { cases: 24, seed: 0 }
}

fn a_router_passes_and_bugs_are_named() {
    let broken = |bug: &str| -> Vec<String> {
        let report = check_program(&program(bug), &Device::flex(), &options()).unwrap();
        let failed = report.failed().into_iter();
        failed.map(str::to_owned).collect()
    };
    let report = check_program(&program("none"), &Device::flex(), &options()).unwrap();
    report.assert_passed();
    let passed = |law: &str| {
        let finding = report.findings.iter().find(|finding| finding.law == law);
        matches!(finding.unwrap().verdict, Verdict::Pass(_))
    };
    for law in [
        "well-formed",
        "ties",
        "padding",
        "causality",
        "expert-relabelling",
    ] {
        assert!(passed(law), "{law}");
    }
    assert_eq!(broken("ties"), ["ties"]);
    assert!(broken("padding").contains(&"padding".to_owned()));
    // the last token's weights depend on how many there are
    let found = broken("last");
    assert!(found.contains(&"decode".to_owned()), "{found:?}");
}

fn faults_of_a_program_are_no_broken_laws() {
    let fault = |command: &str| {
        let program = RouterProgram {
            command: command.to_owned(),
            ..program("none")
        };
        check_program(&program, &Device::flex(), &options()).unwrap_err()
    };
    let text = fault("exit 3").to_string();
    assert!(
        text.contains("it ended before it had answered (exit status: 3)"),
        "{text}"
    );
    let text = fault("no-such-program-anywhere 2>&-").to_string();
    assert!(text.contains("exit status: 127"), "{text}");
    let text = fault("echo a line that is no answer; cat >&-").to_string();
    assert!(text.contains("print to standard error"), "{text}");
    let text = fault(&program("text").command).to_string();
    assert!(text.contains("no safetensors file"), "{text}");
    let error = fault(&program("few").command);
    assert!(matches!(error, ProgramError::Answer { .. }));
    assert!(
        error.to_string().contains("`router_logits.0` is ["),
        "{error}"
    );
}

/// Answers cases as Mixtral's router does, or with a bug.
fn serve(bug: &str) {
    let mut length = [0; 8];
    while stdin().read_exact(&mut length).is_ok() {
        let mut case = vec![0; u64::from_le_bytes(length) as usize];
        stdin().read_exact(&mut case).unwrap();
        let answer = match bug {
            "text" => b"text".to_vec(),
            _ => answered(&case, bug),
        };
        let mut out = stdout().lock();
        out.write_all(&(answer.len() as u64).to_le_bytes()).unwrap();
        out.write_all(&answer).unwrap();
        out.flush().unwrap();
    }
}

fn floats(view: &TensorView<'_>) -> Vec<f32> {
    let numbers = view.data().as_chunks::<4>().0.iter();
    numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn answered(case: &[u8], bug: &str) -> Vec<u8> {
    let (_, header) = SafeTensors::read_metadata(case).unwrap();
    let k: usize = header.metadata().as_ref().unwrap()["top_k"]
        .parse()
        .unwrap();
    let file = SafeTensors::deserialize(case).unwrap();
    let [x, gate] = ["x", "gate"].map(|name| file.tensor(name).unwrap());
    let &[d, e] = gate.shape() else {
        panic!("a matrix")
    };
    let (x_td, gate_de) = (floats(&x), floats(&gate));
    let mask = file.tensor("mask").ok().map(|mask| mask.data().to_vec());
    let (mut logits, mut experts, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    let n_tokens = x_td.len() / d;
    for (t, x_d) in x_td.chunks(d).enumerate() {
        let score = |j: usize| (0..d).map(|i| x_d[i] * gate_de[i * e + j]).sum::<f32>();
        let row: Vec<f32> = (0..e).map(score).collect();
        let mut order: Vec<usize> = (0..e).collect();
        if bug == "ties" {
            order.reverse();
        }
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        let sum: f32 = order[..k]
            .iter()
            .map(|&j| (row[j] - row[order[0]]).exp())
            .sum();
        let is_padding = mask.as_ref().is_some_and(|mask| mask[t] == 0) && bug != "padding";
        let is_cut = bug == "last" && t + 1 == n_tokens;
        for &j in &order[..k] {
            experts.push(if is_padding { -1 } else { j as i64 });
            let weight = (row[j] - row[order[0]]).exp() / sum;
            weights.push(if is_cut { 0.0 } else { weight });
        }
        logits.extend(row);
    }
    let bytes =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let (logits, weights) = (bytes(&logits), bytes(&weights));
    let experts: Vec<u8> = experts.iter().flat_map(|x| x.to_le_bytes()).collect();
    let of_scores = if bug == "few" {
        vec![e, n_tokens]
    } else {
        vec![n_tokens, e]
    };
    let views = [
        (
            "topk_idx.0",
            TensorView::new(Dtype::I64, vec![n_tokens, k], &experts).unwrap(),
        ),
        (
            "topk_weight.0",
            TensorView::new(Dtype::F32, vec![n_tokens, k], &weights).unwrap(),
        ),
        (
            "router_logits.0",
            TensorView::new(Dtype::F32, of_scores, &logits).unwrap(),
        ),
    ];
    serialize(views, None).unwrap()
}
