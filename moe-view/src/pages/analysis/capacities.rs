//! The section on what is dropped at each capacity.

use super::super::html::{Column, Html, Table};
use super::picture::Canvas;
use crate::significant;
use moe_lab::analyze::{AtCapacity, ImageAnalysis};

/// The share that is dropped at each capacity.
pub fn capacities(analysis: &ImageAnalysis) -> Html {
    if analysis.layers.iter().any(|layer| layer.is_soft) {
        let text = "Nothing is dropped at any capacity: each slot reads a mixture of all patches, and each patch gets a mixture of all slots. There is no capacity to change.";
        return Html::paragraph("", text);
    }
    if analysis.capacities.is_empty() {
        let text = format!(
            "The router `{}` has no capacity factor to change.",
            analysis.router
        );
        return Html::paragraph("", &text);
    }
    let layers: Html = (0..analysis.layers.len())
        .map(|layer| pictures(analysis, layer))
        .collect();
    numbers(analysis).then(note(analysis)).then(layers)
}

fn name(at: &AtCapacity) -> String {
    if at.is_own {
        format!("{} (own)", at.capacity)
    } else {
        at.capacity.to_string()
    }
}

fn numbers(analysis: &ImageAnalysis) -> Html {
    let mut table =
        Table::new("Capacity factor (own: the run's), accuracy, and what each layer drops")
            .column(Column::Name, "capacity")
            .column(Column::Number, "accuracy (%)");
    for i in 0..analysis.layers.len() {
        table = table
            .column(
                Column::Number,
                &format!("layer {i}: dropped assignments (%)"),
            )
            .column(
                Column::Number,
                &format!("layer {i}: patches without expert (%)"),
            );
    }
    for at in &analysis.capacities {
        let percent = |share: f64| Html::text(&significant(100.0 * share, 3));
        let layers = at.layers.iter();
        let layers = layers.flat_map(|layer| [layer.drop_rate, layer.without_expert].map(percent));
        let head = [Html::text(&name(at)), percent(at.accuracy)];
        table.row(head.into_iter().chain(layers));
    }
    table.finish()
}

fn note(analysis: &ImageAnalysis) -> Html {
    let group = match analysis.group_images {
        1 => "of an image".to_owned(),
        n => format!(
            "of {n} images together, and a router that serves by position serves the first images first"
        ),
    };
    Html::paragraph(
        "note",
        &format!(
            "The places of an expert, capacity × patches / experts rounded as the router does, are for the patches {group}. A dropped patch passes the layer by: no expert computes it, and the residual stream goes on as it is. The model stays as it was trained; what an earlier layer drops changes what a later one sees."
        ),
    )
}

/// The images with the patches that are left, a row a capacity.
fn pictures(analysis: &ImageAnalysis, layer: usize) -> Html {
    let mut table = Table::new(&format!(
        "{}: the patches that are left at each capacity",
        analysis.layers[layer].layer.name
    ))
    .column(Column::Name, "capacity");
    for picture in &analysis.pictures {
        table = table.column(Column::Name, &picture.class);
    }
    for at in &analysis.capacities {
        let cell = |(place, picture)| {
            let canvas = Canvas {
                picture,
                place,
                grid: &analysis.grid,
                scale: 0.75,
            };
            canvas.without(&at.dropped[place][layer])
        };
        let cells = analysis.pictures.iter().enumerate().map(cell);
        table.row([Html::text(&name(at))].into_iter().chain(cells));
    }
    table.finish()
}
