//! Pictures of the patches that experts take.

use super::super::html::{Column, Html, Table};
use super::badge::badge;
use super::heat_grid::{places, share_grid};
use crate::svg::{escape, uri};
use crate::{significant, thousands};
use moe_lab::analyze::{ImageLayer, PatchGrid, TopPatch};

/// The side of an image, or of what is shown of it, on the page.
const SIDE: f64 = 60.0;

/// Where in images each expert's patches are, and those that it scores highest.
pub fn patches(layer: &ImageLayer, grid: &PatchGrid) -> Html {
    let [what, by] = if layer.is_soft {
        ["dispatch weight over an even one", "mass"]
    } else {
        ["probability", "tokens"]
    };
    let mut table = Table::new(&format!(
        "Where each expert's patches are (the stronger the colour, the more), and those with its highest {what}, one an image"
    ))
    .column(Column::Name, "expert")
    .column(Column::Number, by)
    .column(Column::Name, "where")
    .column(Column::Name, "patches");
    for (expert, top) in layer.patches.iter().enumerate() {
        let computed = thousands(layer.layer.computed[expert].round() as u64);
        let ratios = &layer.positions[expert];
        let title = format!("e{expert}: {}", places(ratios, grid));
        let views = if top.is_empty() {
            Html::text("none")
        } else {
            Html::element("div", "class=\"views\"", top.iter().map(view).collect())
        };
        let place = share_grid(ratios, grid, &title);
        table.row([badge(expert), Html::text(&computed), place, views]);
    }
    table.finish()
}

/// A patch, framed, with what is around it.
fn view(top: &TopPatch) -> Html {
    let scale = SIDE / top.view.width.max(top.view.height) as f64;
    let size = |pixels: usize| pixels as f64 * scale;
    let (width, height) = (size(top.view.width), size(top.view.height));
    let title = format!(
        "image {}, class {}, row {} column {}: {}",
        top.image,
        top.class,
        top.at[0] + 1,
        top.at[1] + 1,
        significant(top.score, 3)
    );
    Html::raw(format!(
        "<svg width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.1} {height:.1}\" role=\"img\"><title>{}</title>\
         <image class=\"pixels\" width=\"{width:.1}\" height=\"{height:.1}\" preserveAspectRatio=\"none\" href=\"{}\"/>\
         <rect class=\"frame\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/></svg>",
        escape(&title),
        uri(&top.view),
        size(top.frame.x) + 1.0,
        size(top.frame.y) + 1.0,
        size(top.frame.width) - 2.0,
        size(top.frame.height) - 2.0,
    ))
}
