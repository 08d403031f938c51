//! Quantiles of lists of values.

/// The φ-quantile, linear between neighbours; NaN sorts first. Sorts `values`.
pub(crate) fn quantile(phi: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || phi.is_nan() {
        return f64::NAN;
    }
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal)));
    let rank = phi * (values.len() - 1) as f64;
    let lower = rank.floor().max(0.0) as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    match (values.get(lower), values.get(upper)) {
        (Some(a), Some(b)) => a * (1.0 - weight) + b * weight,
        _ => f64::NAN,
    }
}

/// The warning for a φ outside [0, 1].
pub(crate) fn bad_quantile(phi: f64) -> Option<String> {
    let bad = phi.is_nan() || !(0.0..=1.0).contains(&phi);
    bad.then(|| format!("quantile value should be between 0 and 1, got {}", crate::syntax::format_g(phi)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_neighbours() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0]), 2.0);
        assert_eq!(quantile(1.0, &mut [3.0, 1.0, 2.0]), 3.0);
        assert_eq!(quantile(-1.0, &mut [1.0]), f64::NEG_INFINITY);
        assert!(quantile(0.5, &mut []).is_nan() && quantile(f64::NAN, &mut [1.0]).is_nan());
    }

    #[test]
    fn the_warning_names_the_value() {
        assert_eq!(bad_quantile(0.5), None);
        assert!(bad_quantile(-0.5).unwrap().ends_with("got -0.5"));
    }
}
