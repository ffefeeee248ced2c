//! Times of a layer as multiples of those of the other things timed with it.

use crate::contest::{Ratio, Samples};
use crate::layer::{Speed, Subject};
use serde::Serialize;

/// Time of a layer as a multiple of another's, round by round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The layer's workload.
    pub workload: &'static str,
    /// The layer's device.
    pub device: String,
    /// Kind of the other.
    pub to: Against,
    /// Name of the other.
    pub name: String,
    /// The times as long.
    pub ratio: Ratio,
}

/// Kinds of things that a layer is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The faster of the two dense layers.
    Dense,
    /// The dense layer by the experts' operation.
    OneExpert,
    /// The dense layer by Burn's own modules.
    BurnDense,
    /// The fastest way of a peer.
    PeerBest,
    /// The dense layer of a peer.
    PeerDense,
    /// The same layer on the first device.
    FirstDevice,
    /// The first workload of the group.
    FirstWorkload,
}

/// Something timed.
#[derive(Debug, Clone)]
pub(crate) struct Timed {
    pub speed: Speed,
    pub samples: Samples,
}

/// All comparisons of all layers.
pub(crate) fn comparisons(timed: &[Timed]) -> Vec<Comparison> {
    let is_layer = |timed: &&Timed| timed.speed.subject == Subject::Layer;
    timed
        .iter()
        .filter(is_layer)
        .flat_map(|layer| compare(layer, timed))
        .collect()
}

/// All that one layer is compared with.
fn compare(layer: &Timed, timed: &[Timed]) -> Vec<Comparison> {
    let speed = &layer.speed;
    let here = |subject: Subject| {
        timed
            .iter()
            .find(|t| t.speed.subject == subject && t.speed.place == speed.place)
    };
    let (expert, burn) = (here(Subject::OneExpert), here(Subject::BurnDense));
    let mut found: Vec<(Against, Option<&Timed>)> = vec![
        (Against::Dense, fastest(expert.into_iter().chain(burn))),
        (Against::OneExpert, expert),
        (Against::BurnDense, burn),
    ];
    found.extend(of_peers(speed, timed));
    let layers = || timed.iter().filter(|t| t.speed.subject == Subject::Layer);
    let elsewhere = layers().find(|t| t.speed.workload == speed.workload);
    let first = layers().find(|t| t.speed.place == speed.place);
    found.push((
        Against::FirstDevice,
        elsewhere.filter(|t| t.speed.place != speed.place),
    ));
    found.push((
        Against::FirstWorkload,
        first.filter(|t| t.speed.workload != speed.workload),
    ));
    let comparison = |(to, other): (Against, Option<&Timed>)| {
        let other = other?;
        Some(Comparison {
            workload: speed.workload,
            device: speed.place.clone(),
            to,
            name: other.speed.name(),
            ratio: layer.samples.ratio_to(&other.samples),
        })
    };
    found.into_iter().filter_map(comparison).collect()
}

/// The fastest way and the dense layer of each peer.
fn of_peers<'a>(speed: &Speed, timed: &'a [Timed]) -> Vec<(Against, Option<&'a Timed>)> {
    let peers = timed
        .iter()
        .filter(|t| matches!(t.speed.subject, Subject::Peer(_)));
    let mut places: Vec<&str> = peers.clone().map(|t| t.speed.place.as_str()).collect();
    places.dedup();
    let mut found = Vec::new();
    for place in places {
        let its = || peers.clone().filter(|t| t.speed.place == place);
        let dense = Subject::Peer("dense".to_owned());
        let ways = its().filter(|t| t.speed.subject != dense && t.speed.workload == speed.workload);
        found.push((Against::PeerBest, fastest(ways)));
        found.push((Against::PeerDense, its().find(|t| t.speed.subject == dense)));
    }
    found
}

fn fastest<'a>(timed: impl Iterator<Item = &'a Timed>) -> Option<&'a Timed> {
    timed.min_by(|a, b| a.speed.time.median_s.total_cmp(&b.speed.time.median_s))
}
