//! The fan-out: ranks that a token's experts are on, and the rows that it sends to them.

use super::Placement;
use crate::{Plan, Routing};

/// Conventions of what travels from a token's rank to the ranks of its experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// A row for each assignment (Megatron-Core, torchtitan).
    Assignment,
    /// A row for each rank, which serves all experts there (DeepEP inside a node).
    Rank,
    /// A row for each node, copied on to the ranks there (DeepEP between nodes, DeepSeek-AI 2024, arXiv 2412.19437,
    /// section 3.2.2).
    Node,
}

impl Convention {
    /// All conventions, from most rows to fewest.
    pub const ALL: [Self; 3] = [Self::Assignment, Self::Rank, Self::Node];
}

/// Rows that each rank sends and receives over one kind of link, `[W]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Rows that leave each rank.
    pub out_w: Vec<f64>,
    /// Rows that each rank receives.
    pub in_w: Vec<f64>,
}

/// Rows of dispatch by the links that they take. Those of combine are the same the other way.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// Between ranks of a node.
    pub inside: Flow,
    /// Between nodes.
    pub between: Flow,
}

/// The ranks and nodes of tokens and the rows between ranks, summed over any number of routings.
///
/// A row is a kept assignment to an expert with a network. Dropped assignments and zero-computation experts send
/// none, and shared experts are taken to be on every rank. Of a soft plan a row is a slot, which leaves the rank of
/// its sequence's first token, and every token is on all ranks.
#[derive(Debug, Clone, PartialEq)]
pub struct FanOut {
    placement: Placement,
    /// Tokens that were routed.
    pub n_tokens: f64,
    /// Distinct ranks of a token's experts, summed over tokens; its own rank counts if one of them is there.
    pub ranks: f64,
    /// Distinct nodes of a token's experts, summed over tokens.
    pub nodes: f64,
    /// Rows that each rank computes, `[W]`.
    pub load_w: Vec<f64>,
    sent: [Sent; 3],
}

/// The fan-out of a routing, whose tokens are dealt evenly over the ranks in consecutive blocks.
///
/// # Panics
///
/// Panics if the placement is of another number of experts than those of the routing that have a network.
pub fn fan_out(routing: &Routing, placement: &Placement) -> FanOut {
    let mut sum = FanOut::new(*placement);
    sum.add(routing);
    sum
}

impl Flow {
    fn new(n_ranks: usize) -> Self {
        Self {
            out_w: vec![0.0; n_ranks],
            in_w: vec![0.0; n_ranks],
        }
    }

    fn push(&mut self, from: usize, to: usize) {
        self.out_w[from] += 1.0;
        self.in_w[to] += 1.0;
    }

    /// All rows.
    pub fn rows(&self) -> f64 {
        self.out_w.iter().sum()
    }

    /// The rows of the busiest rank: the most that one sends or receives.
    pub fn busiest(&self) -> f64 {
        self.out_w
            .iter()
            .chain(&self.in_w)
            .copied()
            .fold(0.0, f64::max)
    }
}

impl FanOut {
    /// Counts nothing yet.
    pub fn new(placement: Placement) -> Self {
        let n_ranks = placement.n_ranks();
        let sent = Convention::ALL.map(|_| Sent {
            inside: Flow::new(n_ranks),
            between: Flow::new(n_ranks),
        });
        Self {
            placement,
            n_tokens: 0.0,
            ranks: 0.0,
            nodes: 0.0,
            load_w: vec![0.0; n_ranks],
            sent,
        }
    }

    /// The placement of the experts.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Adds a routing whose `T` tokens, padding included, are dealt evenly over the ranks in consecutive blocks: token
    /// `t` comes from rank `t W / T`.
    ///
    /// # Panics
    ///
    /// Panics as [`fan_out`] does.
    pub fn add(&mut self, routing: &Routing) {
        let (placement, n_tokens) = (self.placement, routing.n_tokens());
        self.add_from(routing, |t| placement.source(t, n_tokens));
    }

    /// Adds a routing whose token `t` comes from rank `source(t)`, such as one of a process that has all of its tokens.
    ///
    /// # Panics
    ///
    /// Panics as [`fan_out`] does, or if there is no such rank.
    pub fn add_from(&mut self, routing: &Routing, source: impl Fn(usize) -> usize) {
        let n_experts = self.placement.n_experts();
        assert_eq!(
            routing.n_computed_experts(),
            n_experts,
            "the placement is of {n_experts} experts with a network"
        );
        self.n_tokens += routing.n_routed_tokens() as f64;
        match &routing.plan {
            Plan::Sparse(plan) => {
                let list = &plan.assignments;
                let pairs = list.tokens().iter().zip(list.experts()).zip(list.kept());
                let computed = pairs.filter(|((_, e), kept)| **kept && (**e as usize) < n_experts);
                let mut visits: Vec<(usize, usize)> = computed
                    .map(|((&t, &e), _)| (t as usize, self.placement.rank(e as usize)))
                    .collect();
                visits.sort_unstable();
                for visits in visits.chunk_by(|a, b| a.0 == b.0) {
                    self.add_token(source(visits[0].0), visits);
                }
            }
            Plan::Soft(plan) => {
                let [n_groups, group_size, n_slots] = plan.dispatch.dims();
                for group in 0..n_groups {
                    self.add_slots(source(group * group_size), n_slots);
                }
                self.ranks += (self.placement.n_ranks() * routing.n_routed_tokens()) as f64;
                self.nodes += (self.placement.n_nodes() * routing.n_routed_tokens()) as f64;
            }
        }
    }

    /// Adds a token from rank `source` with its experts, which have a network.
    ///
    /// # Panics
    ///
    /// Panics if there is no such rank or expert.
    pub fn add_experts(&mut self, source: usize, experts: impl Iterator<Item = usize>) {
        let mut visits: Vec<(usize, usize)> = experts
            .map(|expert| (0, self.placement.rank(expert)))
            .collect();
        visits.sort_unstable();
        self.n_tokens += 1.0;
        self.add_token(source, &visits);
    }

    /// Adds the rows of a token's visits to ranks, which are sorted.
    fn add_token(&mut self, source: usize, visits: &[(usize, usize)]) {
        for &(_, rank) in visits {
            self.load_w[rank] += 1.0;
            self.send(Convention::Assignment, source, rank);
        }
        let mut node_before = None;
        for of_rank in visits.chunk_by(|a, b| a.1 == b.1) {
            let rank = of_rank[0].1;
            self.ranks += 1.0;
            self.send(Convention::Rank, source, rank);
            let entry = self.placement.entry(source, rank);
            let node = self.placement.node(rank);
            if node_before != Some(node) {
                self.nodes += 1.0;
                self.send(Convention::Node, source, entry);
            }
            self.send(Convention::Node, entry, rank);
            node_before = Some(node);
        }
    }

    /// Adds the slots of a group: mixtures that no two ranks share.
    fn add_slots(&mut self, source: usize, n_slots: usize) {
        for slot in 0..n_slots {
            let rank = slot * self.placement.n_ranks() / n_slots;
            self.load_w[rank] += 1.0;
            self.send(Convention::Assignment, source, rank);
            self.send(Convention::Rank, source, rank);
            let entry = self.placement.entry(source, rank);
            self.send(Convention::Node, source, entry);
            self.send(Convention::Node, entry, rank);
        }
    }

    /// Counts a row from a rank to another.
    fn send(&mut self, convention: Convention, from: usize, to: usize) {
        let is_inside = self.placement.node(from) == self.placement.node(to);
        let sent = &mut self.sent[convention as usize];
        if from != to {
            let flow = if is_inside {
                &mut sent.inside
            } else {
                &mut sent.between
            };
            flow.push(from, to);
        }
    }

    /// The rows that leave their rank.
    pub fn sent(&self, convention: Convention) -> &Sent {
        &self.sent[convention as usize]
    }

    /// Ranks a token, `M_r`: at most its number of experts, and at most the groups that a token may use where the
    /// groups of experts are the ranks.
    pub fn ranks_per_token(&self) -> f64 {
        self.ranks / self.n_tokens.max(1.0)
    }

    /// Nodes a token, `M_n`.
    pub fn nodes_per_token(&self) -> f64 {
        self.nodes / self.n_tokens.max(1.0)
    }

    /// Rows a token that leave a rank, over both kinds of link.
    pub fn rows_per_token(&self, convention: Convention) -> f64 {
        let sent = self.sent(convention);
        (sent.inside.rows() + sent.between.rows()) / self.n_tokens.max(1.0)
    }

    /// The load of the busiest rank over the mean: 1 at perfect balance, `W` if one rank computes everything; 0 without
    /// any row.
    pub fn busiest_rank(&self) -> f64 {
        let sum: f64 = self.load_w.iter().sum();
        let most = self.load_w.iter().copied().fold(0.0, f64::max);
        most * self.load_w.len() as f64 / sum.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::zoo::{DeepSeekV2RouterConfig, DeepSeekV3RouterConfig, RandomRouterConfig};
    use crate::{Assignments, Bypass, Preset, Router, RouterInput, RouterShape, SoftPlan};
    use approx::assert_abs_diff_eq;
    use burn::tensor::{Device, Distribution, Tensor};
    use proptest::prelude::*;

    fn placement(n_experts: usize, n_ranks: usize, per_node: usize) -> Placement {
        Placement::new(n_experts, n_ranks, per_node).unwrap()
    }

    /// A routing of pairs of a token and an expert; those at `dropped` are dropped.
    fn routing(
        pairs: &[(u32, u32)],
        dropped: &[usize],
        [n_tokens, n_experts]: [usize; 2],
    ) -> Routing {
        let mut assignments = Assignments::default();
        pairs.iter().for_each(|&(t, e)| assignments.push(t, e));
        dropped.iter().for_each(|&i| assignments.drop_assignment(i));
        let device = Device::flex();
        let scores = Tensor::<2>::ones([n_tokens, n_experts], &device);
        let weights = Tensor::ones([pairs.len()], &device);
        Routing::sparse(assignments, weights, scores.clone(), scores)
    }

    fn rows(found: &FanOut) -> [[f64; 2]; 3] {
        Convention::ALL.map(|c| [found.sent(c).inside.rows(), found.sent(c).between.rows()])
    }

    /// Four tokens, one from each of four ranks of two experts; two nodes of two ranks.
    #[test]
    fn ranks_nodes_and_rows_of_four_tokens() {
        // token 0, rank 0: experts 0, 1 on rank 0.
        // token 1, rank 1: experts 2, 0 on ranks 1, 0.
        // token 2, rank 2: experts 3, 0, 2 on ranks 1, 0, 1.
        // token 3, rank 3: experts 4, 1 on ranks 2, 0; expert 6 is dropped.
        let pairs = [
            (0, 0),
            (0, 1),
            (1, 2),
            (1, 0),
            (2, 3),
            (2, 0),
            (2, 2),
            (3, 4),
            (3, 6),
            (3, 1),
        ];
        let found = fan_out(&routing(&pairs, &[8], [4, 8]), &placement(8, 4, 2));
        assert_eq!(found.ranks_per_token(), 7.0 / 4.0); // 1 + 2 + 2 + 2
        assert_eq!(found.nodes_per_token(), 5.0 / 4.0); // 1 + 1 + 1 + 2
        assert_eq!(found.load_w, [5.0, 3.0, 1.0, 0.0]); // 2 + 1 + 1 + 1; 1 + 2; 1
        assert_eq!(found.busiest_rank(), 5.0 / 2.25); // 9 rows on 4 ranks
        assert_eq!(
            rows(&found),
            [
                // 1 -> 0 and 3 -> 2; 2 -> 0 once, 2 -> 1 twice, 3 -> 0
                [2.0, 4.0],
                // the two experts on rank 1 share a row
                [2.0, 3.0],
                // 2 -> 0 and 3 -> 1 enter node 0; 1 -> 0, then on from 0 -> 1 and 1 -> 0, and 3 -> 2
                [4.0, 2.0],
            ]
        );
        let between = &found.sent(Convention::Assignment).between;
        assert_eq!(between.out_w, [0.0, 0.0, 3.0, 1.0]);
        assert_eq!(between.in_w, [2.0, 2.0, 0.0, 0.0]);
        assert_eq!(between.busiest(), 3.0);
        assert_eq!(found.rows_per_token(Convention::Rank), 5.0 / 4.0);
        // all tokens from rank 2: eight rows leave, and expert 4 is at home
        let mut of_one = FanOut::new(placement(8, 4, 2));
        of_one.add_from(&routing(&pairs, &[8], [4, 8]), |_| 2);
        assert_eq!(
            of_one.sent(Convention::Assignment).between.out_w,
            [0.0, 0.0, 8.0, 0.0]
        );
        assert_eq!(of_one.sent(Convention::Assignment).inside.rows(), 0.0);
    }

    #[test]
    fn sums_add_up_and_order_does_not_matter() {
        let pairs = [(1, 3), (0, 0), (1, 0), (0, 2)];
        let mut sorted = pairs;
        sorted.sort_unstable();
        let [one, other] = [pairs, sorted].map(|pairs| routing(&pairs, &[], [2, 4]));
        let mut sum = fan_out(&one, &placement(4, 2, 1));
        assert_eq!(sum, fan_out(&other, &placement(4, 2, 1)));
        sum.add(&other);
        // both tokens have an expert on each of the two ranks
        assert_eq!((sum.n_tokens, sum.ranks, sum.nodes), (4.0, 8.0, 8.0));
        assert_eq!(rows(&sum), [[0.0, 4.0]; 3]);
    }

    #[test]
    fn experts_without_a_network_send_nothing() {
        let device = Device::flex();
        let bypass = Bypass {
            n_free: 1,
            of_token: Tensor::zeros([2, 1], &device),
            of_vectors: None,
            tau: 1.0,
        };
        let routing = routing(&[(0, 2), (1, 0), (1, 2)], &[], [2, 3]).bypass(bypass);
        let found = fan_out(&routing, &placement(2, 2, 2));
        assert_eq!((found.ranks, found.load_w.clone()), (1.0, vec![1.0, 0.0]));
        assert_eq!(rows(&found)[0], [1.0, 0.0]);
    }

    #[test]
    fn a_soft_plan_sends_its_slots() {
        // two sequences of two tokens, from ranks 0 and 1; four slots, two on each rank
        let map = Tensor::<3>::ones([2, 2, 4], &Device::flex());
        let scores = Tensor::<2>::ones([4, 2], &Device::flex());
        let plan = SoftPlan {
            dispatch: map.clone(),
            combine: map,
        };
        let routing = Routing::soft(plan, scores.clone(), scores);
        let found = fan_out(&routing, &placement(2, 2, 2));
        assert_eq!(rows(&found), [[4.0, 0.0]; 3]); // two slots of each sequence leave
        assert_eq!(
            (found.ranks_per_token(), found.nodes_per_token()),
            (2.0, 1.0)
        );
        assert_eq!(found.load_w, [4.0, 4.0]);
    }

    #[test]
    #[should_panic(expected = "the placement is of 8 experts")]
    fn another_number_of_experts_panics() {
        let _ = fan_out(&routing(&[(0, 0)], &[], [1, 4]), &placement(8, 2, 2));
    }

    /// Tokens of a router whose scores are random.
    fn routed(router: &impl Router, noise: Option<u64>, n_tokens: usize) -> Routing {
        let x_td = Tensor::random(
            [n_tokens, 16],
            Distribution::Normal(0.0, 1.0),
            &Device::flex(),
        );
        router.route(RouterInput::new(x_td).noise(noise))
    }

    const SHAPE: RouterShape = RouterShape {
        d_model: 16,
        n_experts: 32,
        layer: 0,
    };

    #[test]
    fn group_limits_bound_the_ranks_of_every_token() {
        for topk_groups in 1..=4 {
            let v2 = DeepSeekV2RouterConfig {
                top_k: 4,
                n_groups: 8,
                topk_groups,
                ..Default::default()
            };
            let v3 = DeepSeekV3RouterConfig {
                top_k: 4,
                n_groups: 8,
                topk_groups,
                ..Default::default()
            };
            let device = Device::flex();
            let (v2, v3) = (v2.init(&SHAPE, &device), v3.init(&SHAPE, &device));
            for _ in 0..32 {
                // a rank is a group of four experts
                for routing in [routed(&v2, None, 1), routed(&v3, None, 1)] {
                    let found = fan_out(&routing, &placement(32, 8, 8));
                    assert!(found.ranks >= 1.0 && found.ranks <= topk_groups as f64);
                    assert!(found.rows_per_token(Convention::Rank) <= topk_groups as f64);
                }
            }
        }
    }

    #[test]
    fn experts_drawn_evenly_have_the_fan_out_of_the_formula() {
        let n_tokens = 8192;
        for (top_k, n_ranks) in [(1, 8), (2, 8), (6, 8), (6, 2), (4, 32)] {
            let router = RandomRouterConfig { top_k }.init(&SHAPE, &Device::flex());
            let routing = routed(&router, Some(7), n_tokens);
            let placement = placement(32, n_ranks, 8);
            let found = fan_out(&routing, &placement).ranks_per_token();
            // the number of ranks of a token lies between 1 and k: its deviation is at most (k - 1) / 2
            let error = (top_k as f64 - 1.0) / 2.0 / (n_tokens as f64).sqrt();
            assert_abs_diff_eq!(
                found,
                placement.even_fan_out(top_k),
                epsilon = 4.0 * error + 1e-9
            );
        }
    }

    proptest! {
        #[test]
        fn bounds_and_conservation(
            experts in prop::collection::vec(0u32..24, 1..60),
            k in 1usize..4,
            world in prop::sample::select(vec![(1, 8), (2, 1), (4, 2), (8, 4), (12, 3), (24, 8)]),
        ) {
            let pairs: Vec<(u32, u32)> = (0..).zip(&experts).map(|(i, &e)| (i / k as u32, e)).collect();
            let n_tokens = pairs.len().div_ceil(k);
            let placement = placement(24, world.0, world.1);
            let found = fan_out(&routing(&pairs, &[], [n_tokens, 24]), &placement);

            let most = k.min(world.0) as f64;
            prop_assert!(found.ranks_per_token() <= most && found.nodes <= found.ranks);
            // every row is computed once, at home or away
            prop_assert_eq!(found.load_w.iter().sum::<f64>(), pairs.len() as f64);
            for convention in Convention::ALL {
                let Sent { inside, between } = found.sent(convention);
                for flow in [inside, between] {
                    prop_assert_eq!(flow.rows(), flow.in_w.iter().sum::<f64>());
                    prop_assert!(flow.busiest() <= flow.rows());
                }
            }
            let [[in_a, out_a], [in_r, out_r], [_, out_n]] = rows(&found);
            prop_assert!(in_r <= in_a && out_r <= out_a && out_n <= out_r);
            let is_home = |&(t, e): &(u32, u32)| {
                placement.source(t as usize, n_tokens) == placement.rank(e as usize)
            };
            let home = pairs.iter().filter(|pair| is_home(pair)).count();
            prop_assert_eq!(in_a + out_a, (pairs.len() - home) as f64);
            prop_assert!(found.busiest_rank() >= 1.0 && found.busiest_rank() <= world.0 as f64);
            if world.0 == 1 {
                prop_assert_eq!(rows(&found), [[0.0; 2]; 3]);
            }
        }
    }
}
