//! Numbers, with the liberties that exporters take.

/// The integer that a text is, `4.2e1` and `42.0` included.
pub(super) fn whole(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Ok(int) = text.parse() {
        return Some(int);
    }
    let double: f64 = text.parse().ok()?;
    (double.fract() == 0.0 && double.abs() < 1e19).then_some(double as i128)
}

/// A number that an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Double(f64),
}

/// What an `intValue` is: a whole number that fits no `int64` is the double that it was, since the JSON exporter of JavaScript
/// writes any whole `Number` as an integer.
pub(super) fn int_value(text: &str) -> Option<Number> {
    match whole(text).map(i64::try_from) {
        Some(Ok(int)) => Some(Number::Int(int)),
        Some(Err(_)) | None => double(text).filter(|double| double.is_finite()).map(Number::Double),
    }
}

/// A double, by the names of the mapping as well.
pub(super) fn double(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}
