//! Numbers, with the liberties that exporters take.

/// The integer that a text is, `4.2e1` and `42.0` included: exactly, as protobuf's mapping of JSON has it, and not by way of a
/// double.
pub(super) fn whole(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Ok(int) = text.parse() {
        return Some(int);
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (int, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{int}{fraction}");
    let significant = digits.trim_end_matches('0');
    if significant.trim_start_matches(['-', '+']).is_empty() {
        return digits.parse().ok();
    }
    let zeros = i32::try_from(digits.len() - significant.len()).ok()?;
    let exponent = exponent.checked_add(zeros)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let times = 10i128.checked_pow(u32::try_from(exponent).ok()?)?;
    significant.parse::<i128>().ok()?.checked_mul(times)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_exact_however_they_are_written() {
        for (text, expected) in [
            ("42", Some(42)),
            ("-42.0", Some(-42)),
            ("4.2e1", Some(42)),
            ("4200E-2", Some(42)),
            ("1.796002952000001e18", Some(1_796_002_952_000_001_000)),
            ("9223372036854775807.00", Some(i64::MAX.into())),
            ("0.0", Some(0)),
            ("-0e5", Some(0)),
            ("0.5e1", Some(5)),
            (" 7 ", Some(7)),
            ("12.5", None),
            ("1e-1", None),
            ("1e400", None),
            ("1e99999999999", None),
            ("1.-5", None),
            ("0x1f", None),
            ("e1", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
    }
}
