//! Lists, whose elements become protobuf messages one by one.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

thread_local! {
    /// How many bytes of messages the request may still become.
    static BUDGET: Cell<usize> = const { Cell::new(0) };
}

/// What a request may become, in bytes of messages for each byte of JSON. A real span, event or attribute takes far more
/// text than a quarter of its message; `{},{},{}` takes far less.
const MESSAGE_BYTES_PER_BYTE: usize = 4;

/// What every request may become.
const FREE_BYTES: usize = 16 << 10;

/// Allows for what `body_bytes` of JSON may become.
pub(super) fn allow_for(body_bytes: usize) {
    BUDGET.set(body_bytes.saturating_mul(MESSAGE_BYTES_PER_BYTE).saturating_add(FREE_BYTES));
}

fn spend(bytes: usize) -> bool {
    let rest = BUDGET.get().checked_sub(bytes);
    BUDGET.set(rest.unwrap_or(0));
    rest.is_some()
}

/// What null becomes in a list.
pub(super) trait Nulls {
    /// Whether it counts as an empty element, or not at all.
    const KEPT: bool;
}

/// Nulls are left out.
pub(super) struct Skipped;
/// Nulls are empty elements.
pub(super) struct Kept;

impl Nulls for Skipped {
    const KEPT: bool = false;
}

impl Nulls for Kept {
    const KEPT: bool = true;
}

/// A list of what is read as `J` and kept as `P`; null is empty.
pub(super) struct List<J, P, N = Skipped>(pub(super) Vec<P>, PhantomData<(J, N)>);

impl<J, P, N> Default for List<J, P, N> {
    fn default() -> Self {
        Self(Vec::new(), PhantomData)
    }
}

impl<'de, J: Deserialize<'de>, P: From<J> + Default, N: Nulls> Deserialize<'de> for List<J, P, N> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(ListVisitor(PhantomData))
    }
}

struct ListVisitor<J, P, N>(PhantomData<(J, P, N)>);

impl<'de, J: Deserialize<'de>, P: From<J> + Default, N: Nulls> Visitor<'de> for ListVisitor<J, P, N> {
    type Value = List<J, P, N>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(List::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element::<Option<J>>()? {
            if element.is_none() && !N::KEPT {
                continue;
            }
            if !spend(size_of::<P>()) {
                return Err(A::Error::custom("too many nearly empty elements for a request of this size"));
            }
            list.push(element.map_or_else(P::default, P::from));
        }
        Ok(List(list, PhantomData))
    }
}
