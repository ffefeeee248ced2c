//! Where the labels at the ends of lines stand.

/// Moves places apart so that neighbours in `wanted` are at least `gap` from each other, none outside of
/// `low..=high` while there is room, each as near as may be to where it was wanted. Keeps the order.
pub fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let mut places = wanted.to_vec();
    let mut least = low;
    for &i in &order {
        places[i] = places[i].max(least);
        least = places[i] + gap;
    }
    let mut most = high.max(low + gap * wanted.len().saturating_sub(1) as f64);
    for &i in order.iter().rev() {
        places[i] = places[i].min(most);
        most = places[i] - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_order_and_their_distance() {
        assert_eq!(spread(&[50.0, 20.0], 10.0, 0.0, 100.0), [50.0, 20.0]);
        assert_eq!(
            spread(&[52.0, 50.0, 51.0], 10.0, 0.0, 100.0),
            [70.0, 50.0, 60.0]
        );
        assert_eq!(spread(&[99.0, 98.0], 10.0, 0.0, 100.0), [100.0, 90.0]);
        assert_eq!(spread(&[0.0; 3], 10.0, 0.0, 15.0), [0.0, 10.0, 20.0]);
        assert!(spread(&[], 10.0, 0.0, 15.0).is_empty());
    }
}
