//! The patches of an image in the colours of a number.

use super::super::html::Html;
use super::super::level::Level;
use crate::svg::escape;
use moe_lab::analyze::PatchGrid;

/// The patches of an image in the colours of a number over an even one.
pub fn heat_grid(ratios: &[f64], grid: &PatchGrid, title: &str) -> Html {
    let mut paths = vec![String::new(); Level::all().count()];
    for (patch, ratio) in ratios.iter().enumerate() {
        paths[Level::of(*ratio).index()].push_str(&square(patch, grid));
    }
    let paths = paths
        .iter()
        .enumerate()
        .filter(|(_, path)| !path.is_empty());
    let body: String = paths
        .map(|(level, path)| format!("<path style=\"fill:var(--h{level})\" d=\"{path}\"/>"))
        .collect();
    drawing(&body, grid, title)
}

/// The patches of an image, the stronger in colour the larger their numbers are.
pub fn share_grid(shares: &[f64], grid: &PatchGrid, title: &str) -> Html {
    let largest = shares.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let patch = |(patch, share): (usize, &f64)| {
        let path = square(patch, grid);
        format!(
            "<path class=\"share\" fill-opacity=\"{:.2}\" d=\"{path}\"/>",
            share / largest
        )
    };
    let patches: String = shares.iter().enumerate().map(patch).collect();
    let side = side(grid);
    let (across, down) = (side * grid.columns as f64, side * grid.rows as f64);
    let ground = format!("<path class=\"gone\" d=\"M0 0h{across:.1}v{down:.1}h-{across:.1}z\"/>");
    drawing(&format!("{ground}{patches}"), grid, title)
}

/// The side of a patch.
fn side(grid: &PatchGrid) -> f64 {
    (60.0 / grid.rows.max(grid.columns) as f64).clamp(3.0, 15.0)
}

/// The outline of a patch.
fn square(patch: usize, grid: &PatchGrid) -> String {
    let (row, column) = (patch / grid.columns, patch % grid.columns);
    let side = side(grid);
    let (x, y) = (side * column as f64, side * row as f64);
    format!("M{x:.1} {y:.1}h{side:.1}v{side:.1}h-{side:.1}z")
}

fn drawing(body: &str, grid: &PatchGrid, title: &str) -> Html {
    let [width, height] = [grid.columns, grid.rows].map(|n| side(grid) * n as f64);
    Html::raw(format!(
        "<svg width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.1} {height:.1}\" role=\"img\">\
         <title>{}</title>{body}</svg>",
        escape(title)
    ))
}

/// In words which patches have more than an even share, the largest first.
pub fn places(ratios: &[f64], grid: &PatchGrid) -> String {
    let mut above: Vec<(usize, f64)> = ratios.iter().copied().enumerate().collect();
    above.retain(|(_, ratio)| *ratio > 1.0);
    above.sort_by(|a, b| b.1.total_cmp(&a.1));
    let place = |(patch, ratio): &(usize, f64)| {
        let (row, column) = (patch / grid.columns + 1, patch % grid.columns + 1);
        format!("row {row} column {column} ×{ratio:.1}")
    };
    if above.is_empty() {
        "no patch above an even share".to_owned()
    } else {
        above
            .iter()
            .take(3)
            .map(place)
            .collect::<Vec<_>>()
            .join(", ")
    }
}
