//! Figures of several rounds, for people.

/// The one in the middle; the upper one of two.
pub fn median(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median, and with more than one how far they lie apart: `2.0 (1.5 to 3.0)`.
pub fn spread(all: &[f64], decimals: usize) -> String {
    let median = median(all);
    match all {
        [] => String::new(),
        [only] => format!("{only:.decimals$}"),
        _ => {
            let least = all.iter().copied().fold(f64::INFINITY, f64::min);
            let most = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("{median:.decimals$} ({least:.decimals$} to {most:.decimals$})")
        }
    }
}
