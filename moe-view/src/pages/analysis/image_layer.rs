//! The section of a layer that reads images.

use super::super::heat::legend;
use super::super::html::{Column, Html, Table};
use super::badge::badge;
use super::companions::companions;
use super::domains::domain_table;
use super::heat_grid::{heat_grid, places};
use super::patches::patches;
use super::picture::Canvas;
use moe_lab::analyze::{ImageAnalysis, ImageLayer, PatchPlan, Picture};

/// The patches that each expert of a layer takes.
pub fn image_layer(analysis: &ImageAnalysis, place: usize) -> Html {
    let found = &analysis.layers[place];
    let pictures = if found.is_soft {
        dispatch(analysis, place, found)
    } else {
        overlaid(analysis, place, found)
    };
    pictures
        .then(patches(found, &analysis.grid))
        .then(domain_table(
            &found.layer.domains,
            &analysis.classes,
            "class",
        ))
        .then(companions(&found.layer))
        .then(legend("Colours of a share over another:"))
}

fn canvases(analysis: &ImageAnalysis) -> impl Iterator<Item = Canvas<'_>> {
    let canvas = |(place, picture)| Canvas {
        picture,
        place,
        grid: &analysis.grid,
        scale: 1.0,
    };
    analysis.pictures.iter().enumerate().map(canvas)
}

/// Images with each patch in its experts' colours.
fn overlaid(analysis: &ImageAnalysis, place: usize, found: &ImageLayer) -> Html {
    let figure = |canvas: Canvas| {
        let PatchPlan::Experts(experts) = &canvas.picture.layers[place] else {
            return Html::default();
        };
        let caption = Html::element("figcaption", "", Html::text(&canvas.caption()));
        Html::element(
            "figure",
            "",
            canvas.plain().then(canvas.experts(experts)).then(caption),
        )
        .line()
    };
    let figures: Html = canvases(analysis).map(figure).collect();
    let names: Html = (0..found.layer.computed.len())
        .map(|expert| Html::element("li", "", badge(expert)))
        .collect();
    Html::paragraph("caption", "Which expert takes each patch, in the first image of each class; crossed out: dropped by all")
        .then(Html::element("div", "class=\"pictures\"", figures).line())
        .then(Html::element("ul", "class=\"legend\"", names).line())
}

/// Of each image how much of each patch each expert reads.
fn dispatch(analysis: &ImageAnalysis, place: usize, found: &ImageLayer) -> Html {
    let mut table = Table::new(
        "How much of each patch each expert reads: dispatch weights, mean over its slots; colour: over an even weight",
    )
    .column(Column::Name, "image");
    for expert in 0..found.layer.computed.len() {
        table = table.column(Column::Name, &format!("e{expert}"));
    }
    for canvas in canvases(analysis) {
        let Picture { layers, .. } = canvas.picture;
        let PatchPlan::Dispatch(weights) = &layers[place] else {
            continue;
        };
        let cell = |(expert, ratios): (usize, &Vec<f64>)| {
            let title = format!(
                "{}, e{expert}: {}",
                canvas.name(),
                places(ratios, &analysis.grid)
            );
            heat_grid(ratios, &analysis.grid, &title)
        };
        let caption = Html::text(&format!(" {}", canvas.caption()));
        let cells = weights.iter().enumerate().map(cell);
        table.row([canvas.plain().then(caption)].into_iter().chain(cells));
    }
    table.finish()
}
