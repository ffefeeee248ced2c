//! The communication of expert parallelism that a run's routings would cause, for any number of ranks.

use super::{Link, Traffic, Volume};
use moe_router::Routing;
use moe_router::metrics::{Convention, FanOut, Flow, Placement};
use moe_train::config::RunConfig;
use serde::Serialize;

/// Options of the communication.
#[derive(Debug, Clone, PartialEq)]
pub struct CommunicationOptions {
    /// The numbers of ranks that the experts are spread over.
    pub worlds: Vec<usize>,
    /// The ranks of a node.
    pub per_node: usize,
    /// Bytes of an element of a row.
    pub element_bytes: usize,
    /// The tokens of a rank that are exchanged at once; none means those of a micro-batch of the run, of pairs of texts
    /// those of both.
    pub tokens_per_rank: Option<usize>,
    /// The links inside a node and between nodes, from which times follow.
    pub links: Option<Links>,
    /// FLOP that a rank computes in a second, its peak times the efficiency; from which shares of a step follow.
    pub flops: Option<f64>,
}

/// The two levels of links.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Links {
    /// Between ranks of a node.
    pub inside: Link,
    /// Between nodes.
    pub between: Link,
}

/// The communication of a run's layers with experts, a world a number of ranks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Communication {
    /// Bytes of a row: the width of the model times those of an element.
    pub row_bytes: usize,
    /// Bytes of an element.
    pub element_bytes: usize,
    /// The tokens of a rank that are exchanged at once.
    pub tokens_per_rank: usize,
    /// The links, if times were asked for.
    pub links: Option<Links>,
    /// FLOP that a rank computes in a second, if shares were asked for.
    pub flops: Option<f64>,
    /// The worlds whose ranks divide the experts.
    pub worlds: Vec<World>,
    /// The others, with the reason.
    pub skipped: Vec<SkippedWorld>,
}

/// A number of ranks that cannot be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SkippedWorld {
    /// The number of ranks.
    pub n_ranks: usize,
    /// Why not.
    pub reason: String,
}

/// The communication among a number of ranks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct World {
    /// The number of ranks.
    pub n_ranks: usize,
    /// The number of nodes.
    pub n_nodes: usize,
    /// Ranks a token if its experts were drawn evenly; none where tokens have different numbers of experts.
    pub even_ranks_per_token: Option<f64>,
    /// The mean over layers.
    pub mean: Traffic,
    /// Each layer with experts.
    pub layers: Vec<Traffic>,
}

/// Dispatch and combine, forward and backward.
const EXCHANGES: f64 = 4.0;

/// Counts of layers for each world.
#[derive(Debug, Clone)]
pub(super) struct CommunicationCounts<'a> {
    options: Option<&'a CommunicationOptions>,
    layers: Vec<Vec<Result<FanOut, SkippedWorld>>>,
}

impl<'a> CommunicationCounts<'a> {
    /// Counts nothing yet; nothing at all without options.
    pub(super) fn new(options: Option<&'a CommunicationOptions>) -> Self {
        Self {
            options,
            layers: Vec::new(),
        }
    }

    /// Adds a batch with the routing of each layer.
    pub(super) fn add(&mut self, routings: &[Routing]) {
        let Some(options) = self.options else {
            return;
        };
        if self.layers.is_empty() {
            let layer = |routing: &Routing| options.counts(routing.n_computed_experts());
            self.layers = routings.iter().map(layer).collect();
        }
        for (layer, routing) in self.layers.iter_mut().zip(routings) {
            let worlds = layer.iter_mut().flatten();
            worlds.for_each(|fan_out| fan_out.add(routing));
        }
    }

    /// These layers and then others.
    pub(super) fn then(mut self, others: Self) -> Self {
        self.layers.extend(others.layers);
        self
    }

    /// Sums up all layers; nothing without options.
    pub(super) fn finish(&self, config: &RunConfig) -> Option<Communication> {
        let sizes = RowSizes {
            d_model: config.model.d_model(),
            tokens_per_rank: config.train.batch_size * config.tokens_per_sequence(),
            flops_per_token: config.account().flops_per_token_training as f64,
        };
        Some(Communication::of(&self.layers, self.options?, sizes))
    }
}

impl CommunicationOptions {
    /// Counts of a layer of so many experts in each world.
    pub(crate) fn counts(&self, n_experts: usize) -> Vec<Result<FanOut, SkippedWorld>> {
        let of_world = |&n_ranks: &usize| {
            let placement = Placement::new(n_experts, n_ranks, self.per_node);
            placement.map(FanOut::new).map_err(|error| SkippedWorld {
                n_ranks,
                reason: error.to_string(),
            })
        };
        self.worlds.iter().map(of_world).collect()
    }
}

/// Sizes of a model that rows and times follow from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowSizes {
    /// The width of the model.
    pub(crate) d_model: usize,
    /// The tokens of a rank that are exchanged at once, unless the options say others.
    pub(crate) tokens_per_rank: usize,
    /// FLOP of a token in training.
    pub(crate) flops_per_token: f64,
}

impl Communication {
    pub(crate) fn of(
        layers: &[Vec<Result<FanOut, SkippedWorld>>],
        options: &CommunicationOptions,
        sizes: RowSizes,
    ) -> Self {
        let mut found = Self {
            row_bytes: sizes.d_model * options.element_bytes,
            element_bytes: options.element_bytes,
            tokens_per_rank: options.tokens_per_rank.unwrap_or(sizes.tokens_per_rank),
            links: options.links,
            flops: options.flops,
            worlds: Vec::new(),
            skipped: Vec::new(),
        };
        for place in 0..options.worlds.len() {
            let of_layers: Result<Vec<&FanOut>, &SkippedWorld> =
                layers.iter().map(|layer| layer[place].as_ref()).collect();
            match of_layers {
                Ok(layers) => found
                    .worlds
                    .extend(found.world(&layers, sizes.flops_per_token)),
                Err(skipped) => found.skipped.push(skipped.clone()),
            }
        }
        found
    }

    /// The communication of a number of ranks; nothing without layers.
    fn world(&self, layers: &[&FanOut], flops_per_token: f64) -> Option<World> {
        let placement = *layers.first()?.placement();
        let traffic = |layer: &&FanOut| self.traffic(layer);
        let layers_traffic: Vec<Traffic> = layers.iter().map(traffic).collect();
        let compute = self
            .flops
            .map(|rate| self.tokens_per_rank as f64 * flops_per_token / rate);
        let mut mean = Traffic::mean(&layers_traffic);
        for volume in [
            &mut mean.by_assignment,
            &mut mean.by_rank,
            &mut mean.by_node,
        ] {
            volume.share = compute.zip(volume.seconds).map(|(compute, seconds)| {
                let exchanges = EXCHANGES * layers.len() as f64 * seconds;
                exchanges / (exchanges + compute)
            });
        }
        Some(World {
            n_ranks: placement.n_ranks(),
            n_nodes: placement.n_nodes(),
            even_ranks_per_token: even(layers),
            mean,
            layers: layers_traffic,
        })
    }

    fn traffic(&self, fan_out: &FanOut) -> Traffic {
        Traffic {
            ranks_per_token: fan_out.ranks_per_token(),
            nodes_per_token: fan_out.nodes_per_token(),
            busiest_rank: fan_out.busiest_rank(),
            by_assignment: self.volume(fan_out, Convention::Assignment),
            by_rank: self.volume(fan_out, Convention::Rank),
            by_node: self.volume(fan_out, Convention::Node),
        }
    }

    fn volume(&self, fan_out: &FanOut, convention: Convention) -> Volume {
        let (sent, placement) = (fan_out.sent(convention), fan_out.placement());
        let n_tokens = fan_out.n_tokens.max(1.0);
        // the tokens read, as many as all ranks exchange at once
        let scale = (self.tokens_per_rank * placement.n_ranks()) as f64 / n_tokens;
        let bytes = |rows: f64| rows * scale * self.row_bytes as f64;
        let outside = match convention {
            Convention::Assignment | Convention::Rank => placement.n_ranks() - placement.per_node(),
            Convention::Node => placement.n_nodes() - 1,
        };
        let seconds = self.links.map(|links| {
            let inside = links
                .inside
                .seconds(placement.per_node() - 1, bytes(sent.inside.busiest()));
            inside
                + links
                    .between
                    .seconds(outside, bytes(sent.between.busiest()))
        });
        let of_token = |flow: &Flow| flow.rows() / n_tokens;
        Volume {
            rows_inside: of_token(&sent.inside),
            rows_between: of_token(&sent.between),
            bytes_inside: of_token(&sent.inside) * self.row_bytes as f64,
            bytes_between: of_token(&sent.between) * self.row_bytes as f64,
            seconds,
            share: None,
        }
    }
}

/// Ranks a token if experts were drawn evenly, where all tokens have one whole number of them.
fn even(layers: &[&FanOut]) -> Option<f64> {
    let first = layers.first()?;
    let of_layer = |layer: &FanOut| layer.load_w.iter().sum::<f64>() / layer.n_tokens.max(1.0);
    let k = of_layer(first);
    let is_whole = k.fract() == 0.0 && k >= 1.0 && k <= first.placement().n_experts() as f64;
    let all_alike = layers.iter().all(|layer| of_layer(layer) == k);
    (is_whole && all_alike).then(|| first.placement().even_fan_out(k as usize))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use approx::assert_abs_diff_eq;
    use burn::tensor::{Device, Tensor};
    use moe_router::Assignments;

    /// Four tokens with two of four experts each; every expert has two tokens.
    fn routing() -> Routing {
        let device = Device::flex();
        // experts 0 and 1 are on rank 0, 2 and 3 on rank 1; tokens 0 and 1 come from rank 0
        let experts = vec![0, 1, 0, 2, 1, 3, 2, 3];
        let scores = Tensor::<2>::ones([4, 4], &device);
        let weights = Tensor::ones([8], &device);
        Routing::sparse(
            Assignments::of_each_token(experts, 2),
            weights,
            scores.clone(),
            scores,
        )
    }

    fn config() -> RunConfig {
        let overrides = [
            "model.d_model=16",
            "attention.n_heads=2",
            "attention.n_kv_heads=1",
            "train.batch_size=4",
            "train.seq_length=32",
        ];
        RunConfig::of_overrides(&overrides).unwrap()
    }

    fn options(per_node: usize) -> CommunicationOptions {
        CommunicationOptions {
            worlds: vec![2, 3, 1],
            per_node,
            element_bytes: 2,
            tokens_per_rank: None,
            links: Some(Links {
                inside: "1,1".parse().unwrap(),
                between: "10,0.5".parse().unwrap(),
            }),
            flops: Some(1e9),
        }
    }

    fn communication(options: &CommunicationOptions) -> Communication {
        let mut counts = CommunicationCounts::new(Some(options));
        counts.add(&[routing(), routing()]);
        counts.add(&[routing(), routing()]);
        counts.finish(&config()).unwrap()
    }

    #[test]
    fn volumes_and_times_of_two_ranks() {
        let found = communication(&options(8));
        assert_eq!((found.row_bytes, found.tokens_per_rank), (32, 128));
        let world = &found.worlds[0];
        assert_eq!(
            (world.n_ranks, world.n_nodes, world.layers.len()),
            (2, 1, 2)
        );
        // tokens 1 and 2 have experts on both ranks: (1 + 2 + 2 + 1) / 4
        assert_eq!(world.mean.ranks_per_token, 1.5);
        assert_eq!(
            (world.mean.nodes_per_token, world.mean.busiest_rank),
            (1.0, 1.0)
        );
        // 2 (1 - C(2, 2) / C(4, 2)) = 2 (1 - 1 / 6)
        assert_abs_diff_eq!(
            world.even_ranks_per_token.unwrap(),
            5.0 / 3.0,
            epsilon = 1e-12
        );
        // token 1 sends expert 2's row, token 2 expert 1's: two rows of 32 bytes for four tokens
        let volume = &world.mean.by_assignment;
        assert_eq!((volume.rows_inside, volume.rows_between), (0.5, 0.0));
        assert_eq!(
            (volume.bytes_inside, world.mean.by_rank.bytes_token()),
            (16.0, 16.0)
        );
        // a rank sends half a row for each of its 128 tokens: 64 of 32 bytes at 1 GB/s, after 1 microsecond
        let seconds = 1e-6 + 64.0 * 32.0 / 1e9;
        assert_abs_diff_eq!(volume.seconds.unwrap(), seconds, epsilon = 1e-15);
        let flops = config().account().flops_per_token_training as f64;
        let exchanges = 2.0 * 4.0 * seconds;
        let share = exchanges / (exchanges + 128.0 * flops / 1e9);
        assert_abs_diff_eq!(volume.share.unwrap(), share, epsilon = 1e-12);
    }

    #[test]
    fn nodes_of_one_rank_use_the_other_link() {
        let options = CommunicationOptions {
            tokens_per_rank: Some(256),
            flops: None,
            ..options(1)
        };
        let world = &communication(&options).worlds[0];
        let volume = &world.mean.by_node;
        assert_eq!((volume.rows_inside, volume.rows_between), (0.0, 0.5));
        // 128 rows of 32 bytes at 0.5 GB/s, after 10 microseconds
        let seconds = 10e-6 + 128.0 * 32.0 / 0.5e9;
        assert_abs_diff_eq!(volume.seconds.unwrap(), seconds, epsilon = 1e-15);
        assert_eq!(volume.share, None);
    }

    #[test]
    fn one_rank_sends_nothing_and_three_are_skipped() {
        let found = communication(&options(8));
        let alone = &found.worlds[1];
        assert_eq!((alone.n_ranks, alone.mean.ranks_per_token), (1, 1.0));
        let volume = &alone.mean.by_assignment;
        assert_eq!(
            (volume.bytes_token(), volume.seconds, volume.share),
            (0.0, Some(0.0), Some(0.0))
        );
        assert_eq!(found.skipped.len(), 1);
        assert!(
            found.skipped[0]
                .reason
                .starts_with("3 ranks do not divide 4 experts")
        );
    }

    #[test]
    fn nothing_is_counted_unasked() {
        let mut counts = CommunicationCounts::new(None);
        counts.add(&[routing()]);
        assert_eq!(counts.finish(&config()), None);
    }
}
