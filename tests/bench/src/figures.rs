//! Figures of several rounds, for people.

/// The one in the middle, or between the two that are there; not a number, if there is none.
pub fn median(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)])
}

/// The least and the most.
pub fn extremes(all: &[f64]) -> (f64, f64) {
    all.iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), one| (least.min(*one), most.max(*one)))
}

/// The median, and with more than one how far they lie apart: `2.0 (1.5 to 3.0)`.
pub fn spread(all: &[f64], decimals: usize) -> String {
    let median = median(all);
    match all {
        [] => String::new(),
        [only] => format!("{only:.decimals$}"),
        _ => {
            let (least, most) = extremes(all);
            format!("{median:.decimals$} ({least:.decimals$} to {most:.decimals$})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(spread(&[1.0, 3.0], 1), "2.0 (1.0 to 3.0)");
    }
}
