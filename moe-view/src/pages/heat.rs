//! Shares of experts over time as a heat map: a row an expert, a column a time.

use super::html::Html;
use super::level::Level;
use crate::svg::escape;
use crate::{si, significant};
use moe_lab::report::LoadMap;
use std::fmt::Write;

const WIDTH: f64 = 340.0;
const LEFT: f64 = 32.0;
const RIGHT: f64 = 46.0;
const TOP: f64 = 4.0;
/// The height that rows share, if they may.
const TALL: f64 = 200.0;

/// The map of a layer.
pub fn load_map(map: &LoadMap, title: &str) -> Html {
    let rows = Rows::of(map.n_experts());
    let mut body = cells(map, &rows);
    names(&mut body, map, &rows);
    let bottom = TOP + rows.height * rows.n as f64;
    let ends = [map.columns.first(), map.columns.last()].map(|c| c.map_or(0, |c| c.tokens));
    let [first, last] = ends.map(|tokens| si(tokens as f64));
    let _ = writeln!(
        body,
        "<text class=\"axis\" x=\"{LEFT}\" y=\"{y:.1}\">{first}</text>\
         <text class=\"axis end\" x=\"{x}\" y=\"{y:.1}\">{last} tokens</text>",
        y = bottom + 15.0,
        x = WIDTH - RIGHT,
    );
    Html::raw(format!(
        "<figure>\n<span class=\"title\">{}</span>\n<svg viewBox=\"0 0 {WIDTH} {:.1}\" role=\"img\">\n\
         <title>{}</title>\n{body}</svg>\n</figure>\n",
        escape(title),
        bottom + 20.0,
        escape(&summary(map, title)),
    ))
}

/// The meaning of the colours.
pub fn legend(of: &str) -> Html {
    let items: String = Level::all()
        .map(|(level, name)| {
            let style = format!("background:var(--h{})", level.index());
            format!("<li><i style=\"{style}\"></i>{name}</li>\n")
        })
        .collect();
    Html::paragraph("note", of).then(Html::raw(format!("<ul class=\"legend\">\n{items}</ul>\n")))
}

/// The height of rows, and which of them are named.
struct Rows {
    n: usize,
    height: f64,
    named_every: usize,
}

impl Rows {
    fn of(n: usize) -> Self {
        let height = (TALL / n.max(1) as f64).clamp(3.0, 18.0);
        Self {
            n,
            height,
            named_every: (13.0 / height).ceil() as usize,
        }
    }
}

/// Cells of one colour are one path, and neighbours in time one rectangle.
fn cells(map: &LoadMap, rows: &Rows) -> String {
    let n_columns = map.columns.len();
    let x = |column: usize| LEFT + (WIDTH - LEFT - RIGHT) * column as f64 / n_columns.max(1) as f64;
    let mut paths = vec![String::new(); Level::all().count()];
    for expert in 0..rows.n {
        let level = |column: usize| Level::of(map.columns[column].share[expert] * rows.n as f64);
        let mut from = 0;
        for column in 1..=n_columns {
            if column < n_columns && level(column) == level(from) {
                continue;
            }
            let gap = if rows.height > 6.0 { 1.0 } else { 0.0 };
            let _ = write!(
                paths[level(from).index()],
                "M{:.1} {:.1}h{:.1}v{:.1}h-{:.1}z",
                x(from),
                TOP + expert as f64 * rows.height,
                x(column) - x(from),
                rows.height - gap,
                x(column) - x(from),
            );
            from = column;
        }
    }
    let mut body = String::new();
    for (level, path) in paths
        .iter()
        .enumerate()
        .filter(|(_, path)| !path.is_empty())
    {
        let _ = writeln!(body, "<path style=\"fill:var(--h{level})\" d=\"{path}\"/>");
    }
    body
}

/// Experts at the left, their last shares at the right.
fn names(body: &mut String, map: &LoadMap, rows: &Rows) {
    for (expert, share) in map.last().iter().enumerate().step_by(rows.named_every) {
        let y = TOP + (expert as f64 + 0.5) * rows.height + 4.0;
        let _ = writeln!(
            body,
            "<text class=\"axis end\" x=\"{:.1}\" y=\"{y:.1}\">e{expert}</text>\
             <text class=\"axis end\" x=\"{WIDTH}\" y=\"{y:.1}\">{:.1} %</text>",
            LEFT - 5.0,
            100.0 * share
        );
    }
}

fn summary(map: &LoadMap, title: &str) -> String {
    let last = map.last().iter().copied().enumerate();
    let extreme = |share: Option<(usize, f64)>| {
        share.map_or("-".to_owned(), |(expert, share)| {
            format!("e{expert} with {} %", significant(100.0 * share, 3))
        })
    };
    format!(
        "{title}: shares of {} experts over time; at the end the largest is {}, the smallest {}",
        map.n_experts(),
        extreme(last.clone().max_by(|a, b| a.1.total_cmp(&b.1))),
        extreme(last.min_by(|a, b| a.1.total_cmp(&b.1))),
    )
}
