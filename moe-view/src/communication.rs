//! The tables of what would travel if the experts of a run were spread over ranks.

use super::{Align, columns, counted, paragraph, si, significant, thousands};
use moe_lab::analyze::{Communication, Link, Links, Volume, World};

/// The columns of the table of ranks.
pub(crate) const RANKS: [&str; 6] = [
    "ranks",
    "nodes",
    "ranks/token",
    "evenly drawn",
    "nodes/token",
    "busiest rank",
];

/// The columns of the table of rows that are always there.
const ROWS: [&str; 6] = [
    "ranks",
    "a row for each",
    "rows inside",
    "rows between",
    "bytes inside",
    "bytes between",
];

/// The cells of a number of ranks.
pub(crate) fn rank_cells(world: &World) -> [String; 6] {
    let mean = &world.mean;
    let even = world.even_ranks_per_token;
    [
        thousands(world.n_ranks as u64),
        thousands(world.n_nodes as u64),
        significant(mean.ranks_per_token, 3),
        even.map_or("–".to_owned(), |ranks| significant(ranks, 3)),
        significant(mean.nodes_per_token, 3),
        significant(mean.busiest_rank, 3),
    ]
}

/// The columns of the table of rows, with times and shares if they were asked for.
pub(crate) fn row_columns(found: &Communication) -> Vec<&'static str> {
    let mut header = ROWS.to_vec();
    header.extend(found.links.map(|_| "dispatch (µs)"));
    header.extend(found.links.and(found.flops).map(|_| "share of a step (%)"));
    header
}

/// The cells of a number of ranks, a row a convention.
pub(crate) fn row_cells(world: &World) -> [Vec<String>; 3] {
    let mean = &world.mean;
    [
        ("assignment", &mean.by_assignment),
        ("rank", &mean.by_rank),
        ("node", &mean.by_node),
    ]
    .map(|(name, volume)| {
        let mut cells = vec![thousands(world.n_ranks as u64), name.to_owned()];
        cells.extend(volume_cells(volume));
        cells
    })
}

fn volume_cells(volume: &Volume) -> Vec<String> {
    let numbers = [
        volume.rows_inside,
        volume.rows_between,
        volume.bytes_inside,
        volume.bytes_between,
    ];
    let mut cells = numbers.map(|x| significant(x, 3)).to_vec();
    cells.extend(volume.seconds.map(|s| significant(1e6 * s, 3)));
    cells.extend(volume.share.map(|share| significant(100.0 * share, 3)));
    cells
}

/// What is counted, and the meaning of the columns.
pub(crate) fn notes(found: &Communication) -> Vec<String> {
    let mut notes = vec![
        "ranks/token, nodes/token: distinct ranks and nodes of a token's experts, the token's own if one is there; evenly drawn: ranks of \
         experts that are drawn evenly. busiest rank: its load over the mean. All are means over layers, of all tokens that \
         were read: single exchanges vary more."
            .to_owned(),
        format!(
            "rows, bytes: a token and dispatch, to other ranks of a node and to other nodes; a row has {} bytes ({} an element). \
             Combine sends as many back. A row for each assignment: Megatron-Core, torchtitan. For each rank: DeepEP in a node. For each \
             node, copied on inside it: DeepEP between nodes.",
            thousands(found.row_bytes as u64),
            found.element_bytes,
        ),
    ];
    notes.extend(found.links.map(|links| time_note(found, links)));
    if let (Some(_), Some(flops)) = (found.links, found.flops) {
        notes.push(format!(
            "share of a step: dispatch and combine of all layers, forward and backward, beside {}FLOP/s of compute; nothing is \
             done meanwhile, and no rank waits for the busiest one's experts.",
            si(flops),
        ));
    }
    let reasons = found.skipped.iter();
    notes.extend(reasons.map(|skipped| format!("skipped: {}.", skipped.reason)));
    notes
}

/// The model of the time of a dispatch.
fn time_note(found: &Communication, links: Links) -> String {
    let link = |link: Link| {
        let (start, rate) = (1e6 * link.alpha, 1e-9 * link.beta);
        format!(
            "{} µs and {} GB/s",
            significant(start, 3),
            significant(rate, 3)
        )
    };
    format!(
        "dispatch: alpha × peers + the most bytes that a rank sends or receives / beta, inside a node ({}) and then between \
         nodes ({}); {} of each rank at once.",
        link(links.inside),
        link(links.between),
        counted(found.tokens_per_rank, "token"),
    )
}

/// The tables as text.
pub(crate) fn communication_text(found: &Communication) -> String {
    let table = |header: &[&str], rows: Vec<Vec<String>>, words: &[usize]| {
        let header = header.iter().map(|name| (*name).to_owned()).collect();
        let rows: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
        let align = |i: usize| {
            if words.contains(&i) {
                Align::Left
            } else {
                Align::Right
            }
        };
        let align: Vec<Align> = (0..rows[0].len()).map(align).collect();
        columns(&rows, &align)
    };
    let notes: Vec<String> = notes(found).iter().map(|note| paragraph(note)).collect();
    if found.worlds.is_empty() {
        return notes.join("\n");
    }
    let of_ranks = found.worlds.iter().map(|world| rank_cells(world).to_vec());
    let of_rows = found.worlds.iter().flat_map(row_cells);
    [
        "Experts in consecutive blocks on ranks:".to_owned(),
        table(&RANKS, of_ranks.collect(), &[]),
        String::new(),
        table(&row_columns(found), of_rows.collect(), &[1]),
        notes.join("\n"),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moe_lab::analyze::{SkippedWorld, Traffic};

    fn found() -> Communication {
        let volume = |rows_inside, rows_between| Volume {
            rows_inside,
            rows_between,
            bytes_inside: 128.0 * rows_inside,
            bytes_between: 128.0 * rows_between,
            seconds: Some(1.5e-5),
            share: Some(0.25),
        };
        let mean = Traffic {
            ranks_per_token: 3.5,
            nodes_per_token: 1.5,
            busiest_rank: 1.25,
            by_assignment: volume(2.5, 3.0),
            by_rank: volume(1.5, 1.75),
            by_node: volume(3.0, 0.75),
        };
        let link = |text: &str| text.parse().unwrap();
        Communication {
            row_bytes: 128,
            element_bytes: 2,
            tokens_per_rank: 4096,
            links: Some(Links {
                inside: link("nvlink4"),
                between: link("5,50"),
            }),
            flops: Some(4e14),
            worlds: vec![World {
                n_ranks: 16,
                n_nodes: 2,
                even_ranks_per_token: None,
                mean,
                layers: Vec::new(),
            }],
            skipped: vec![SkippedWorld {
                n_ranks: 24,
                reason: "24 ranks do not divide 64 experts".into(),
            }],
        }
    }

    #[test]
    fn the_tables_of_two_nodes() {
        let tables = "\
Experts in consecutive blocks on ranks:
ranks  nodes  ranks/token  evenly drawn  nodes/token  busiest rank
   16      2         3.50             –         1.50          1.25

ranks  a row for each  rows inside  rows between  bytes inside  bytes between  dispatch (µs)  share of a step (%)
   16  assignment             2.50          3.00           320            384           15.0                 25.0
   16  rank                   1.50          1.75           192            224           15.0                 25.0
   16  node                   3.00         0.750           384           96.0           15.0                 25.0
ranks/token";
        let text = communication_text(&found());
        assert!(text.starts_with(tables), "{text}");
        for words in [
            "a row has 128 bytes (2 an element)",
            "inside a node (3.40 µs and 450 GB/s) and then between nodes (5.00 µs and 50.0 GB/s); 4,096 tokens",
            "beside 400 TFLOP/s of compute",
            "\nskipped: 24 ranks do not divide 64 experts.",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn times_are_shown_if_they_were_asked_for() {
        let mut found = found();
        found.links = None;
        assert_eq!(row_columns(&found).len(), 6);
        found.worlds.clear();
        let text = communication_text(&found);
        assert!(
            text.starts_with("ranks/token") && !text.contains("dispatch:"),
            "{text}"
        );
    }
}
