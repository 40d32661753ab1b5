//! Text that should be UTF-8: seen fast, and repaired where it is not.

#[inline]
pub(super) fn is_utf8(bytes: &[u8]) -> bool {
    is_ascii(bytes) || std::str::from_utf8(bytes).is_ok()
}

/// As `<[u8]>::is_ascii`, which takes its last bytes one by one; most texts are not longer than those.
#[inline]
pub(super) fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    match bytes.last_chunk() {
        Some(last) if bytes.len() <= 64 => {
            let mut seen = u64::from_ne_bytes(*last);
            for chunk in bytes.as_chunks().0 {
                seen |= u64::from_ne_bytes(*chunk);
            }
            seen & HIGH_BITS == 0
        }
        Some(_) => bytes.is_ascii(),
        None => bytes.iter().fold(0, |seen, byte| seen | byte) < 0x80,
    }
}

/// The bytes that a text has once it is repaired.
pub(super) fn repaired_len(text: &[u8]) -> usize {
    text.utf8_chunks()
        .map(|chunk| {
            chunk.valid().len()
                + if chunk.invalid().is_empty() { 0 } else { char::REPLACEMENT_CHARACTER.len_utf8() }
        })
        .sum()
}

/// The text with U+FFFD in place of what is not UTF-8, cut at `most` bytes.
pub(super) fn repaired(text: &[u8], most: usize) -> Vec<u8> {
    // Repaired text is not shorter, so that what follows is cut; and what is cut within a character here is as well.
    let text = &text[..text.len().min(most.saturating_add(4))];
    let mut text = String::from_utf8_lossy(text).into_owned();
    text.truncate(text.floor_char_boundary(most));
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_repaired_text_is_cut_as_the_whole_one(
            text in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                proptest::collection::vec(prop_oneof![Just(0xf0_u8), Just(0x9f), Just(0x92), Just(0xa9), Just(b'a')], 0..40),
            ],
            most in 0_usize..50,
        ) {
            let whole = String::from_utf8_lossy(&text);
            prop_assert_eq!(repaired_len(&text), whole.len());
            let cut = &whole[..whole.floor_char_boundary(most)];
            prop_assert_eq!(repaired(&text, most), cut.as_bytes());
        }
    }
}
