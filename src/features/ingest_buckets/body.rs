//! Reads a request's body in one pass: an object, its `buckets`, their fields. This file knows
//! names and shapes, and `acceptance` says which values are acceptable.
//!
//! Other slices read bodies with the kernel's `FieldReader`. A post is the hot path, so this reader
//! is its own: values borrow from the body, a value that no field takes is skipped without
//! recursion, and a bucket's violations are capped.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::scalar::{Scalar, ScalarVisitor};
use super::violations::Violations;
use crate::kernel::bucket::{MAX_POSTED, TokenCounts};
use crate::kernel::http::stand_ins::with_stand_ins;

/// A field of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    HourStart,
    Source,
    Model,
    ObservedAt,
    Retracts,
    /// The counter at this place of the table.
    Counter(usize),
}

impl Field {
    /// The fields that are no counters, in the order of their declaration.
    const OTHERS: [Self; 5] = [Self::HourStart, Self::Source, Self::Model, Self::ObservedAt, Self::Retracts];

    /// All of them, each at its place.
    pub(super) const ALL: [Self; Self::OTHERS.len() + TokenCounts::NAMES.len()] = {
        let mut all = [Self::HourStart; Self::OTHERS.len() + TokenCounts::NAMES.len()];
        all.split_at_mut(Self::OTHERS.len()).0.copy_from_slice(&Self::OTHERS);
        let mut counter = 0;
        while counter < TokenCounts::NAMES.len() {
            all[Self::Counter(counter).place()] = Self::Counter(counter);
            counter += 1;
        }
        all
    };

    const fn place(self) -> usize {
        match self {
            Self::HourStart => 0,
            Self::Source => 1,
            Self::Model => 2,
            Self::ObservedAt => 3,
            Self::Retracts => 4,
            Self::Counter(counter) => Self::OTHERS.len() + counter,
        }
    }

    /// As the body spells it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::HourStart => "hour_start",
            Self::Source => "source",
            Self::Model => "model",
            Self::ObservedAt => "observed_at",
            Self::Retracts => "retracts",
            Self::Counter(counter) => TokenCounts::NAMES[counter],
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }
}

/// The values of one bucket's fields.
#[derive(Debug, Default)]
pub(super) struct Fields<'de>([Option<Scalar<'de>>; Field::ALL.len()]);

impl<'de> Fields<'de> {
    /// `None` where the field is absent.
    pub(super) const fn get(&self, field: Field) -> Option<&Scalar<'de>> {
        self.0[field.place()].as_ref()
    }
}

/// One element of `buckets`, with what is already known to be wrong with it.
#[derive(Debug)]
pub(super) struct Element<'de> {
    /// `None` where it is not an object.
    pub(super) fields: Option<Fields<'de>>,
    pub(super) violations: Violations,
}

/// Why a body could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not JSON, from this place on.
    Malformed { line: usize, column: usize },
    /// It is JSON so far, and then it ends.
    Incomplete,
    /// It has more than [`MAX_POSTED`] buckets; what follows was not read.
    TooManyBuckets,
}

/// Reads a body. Every element of `buckets` goes to `take`, in order. What comes back is wrong around the buckets.
pub(super) fn read(json: &str, take: &mut dyn FnMut(Element<'_>)) -> Result<Violations, Unreadable> {
    let mut taken = 0_usize;
    let read = read_once(json, &mut |element| {
        taken += 1;
        take(element);
    });
    let Err(Unreadable::Malformed { .. }) = read else { return read };
    // A number that no double holds, or half of a surrogate pair, is wrong where it stands, and nowhere else.
    let Some(held) = with_stand_ins(json) else { return read };
    let mut known = taken;
    read_once(&held, &mut |element| match known.checked_sub(1) {
        Some(less) => known = less,
        None => take(element),
    })
}

fn read_once<'de>(json: &'de str, take: &mut dyn FnMut(Element<'de>)) -> Result<Violations, Unreadable> {
    let mut outside = Violations::outside();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = Shaped(Envelope { outside: &mut outside, take }).deserialize(&mut deserializer);
    read.and_then(|()| deserializer.end()).map(|()| outside).map_err(|error| match error.classify() {
        // The shapes below take every value, so an error that is not the JSON's own is that of
        // `Excess`.
        Category::Data => Unreadable::TooManyBuckets,
        Category::Eof => Unreadable::Incomplete,
        Category::Syntax | Category::Io => Unreadable::Malformed { line: error.line(), column: error.column() },
    })
}

/// A place that wants an object or an array, and reports anything else instead of failing.
trait Shape<'de>: Sized {
    fn object<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        ScalarVisitor.visit_map(object).map(|found| self.otherwise(&found))
    }

    fn array<A: SeqAccess<'de>>(self, array: A) -> Result<(), A::Error> {
        ScalarVisitor.visit_seq(array).map(|found| self.otherwise(&found))
    }

    fn otherwise(self, found: &Scalar<'de>);
}

struct Shaped<T>(T);

impl<'de, T: Shape<'de>> DeserializeSeed<'de> for Shaped<T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Shape<'de>> Visitor<'de> for Shaped<T> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        ScalarVisitor.visit_unit().map(|found| self.0.otherwise(&found))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        ScalarVisitor.visit_bool(value).map(|found| self.0.otherwise(&found))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        ScalarVisitor.visit_u64(number).map(|found| self.0.otherwise(&found))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        ScalarVisitor.visit_i64(number).map(|found| self.0.otherwise(&found))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        ScalarVisitor.visit_f64(number).map(|found| self.0.otherwise(&found))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        ScalarVisitor.visit_str(text).map(|found| self.0.otherwise(&found))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<(), A::Error> {
        self.0.array(array)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        self.0.object(object)
    }
}

/// The name of an object's field: borrowed from the body unless it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The whole body.
struct Envelope<'a, 'de> {
    outside: &'a mut Violations,
    take: &'a mut dyn FnMut(Element<'de>),
}

impl<'de> Shape<'de> for Envelope<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut seen = false;
        while let Some(Name(name)) = object.next_key()? {
            if name == "buckets" && !seen {
                seen = true;
                object.next_value_seed(Shaped(Buckets { outside: &mut *self.outside, take: &mut *self.take }))?;
            } else {
                object.next_value::<IgnoredAny>()?;
                if seen && name == "buckets" { self.outside.repeated(&name) } else { self.outside.unknown(&name) }
            }
        }
        if !seen {
            self.outside.add("buckets", ("missing", "Required: an array of buckets, which may be empty.".into()));
        }
        Ok(())
    }

    fn otherwise(self, found: &Scalar<'de>) {
        self.outside.add_whole(found.unlike("an object with the field `buckets`"));
    }
}

/// The array of buckets.
struct Buckets<'a, 'de> {
    outside: &'a mut Violations,
    take: &'a mut dyn FnMut(Element<'de>),
}

impl<'de> Shape<'de> for Buckets<'_, 'de> {
    fn array<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        for index in 0..usize::from(MAX_POSTED) {
            let mut element = Element { fields: None, violations: Violations::of_bucket(index) };
            if array.next_element_seed(Shaped(&mut element))?.is_none() {
                return Ok(());
            }
            (self.take)(element);
        }
        array.next_element_seed(Excess)?;
        Ok(())
    }

    fn otherwise(self, found: &Scalar<'de>) {
        self.outside.add("buckets", found.unlike("an array of buckets"));
    }
}

/// The element that is one too many: it ends the reading.
struct Excess;

impl<'de> DeserializeSeed<'de> for Excess {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _deserializer: D) -> Result<(), D::Error> {
        Err(D::Error::custom("too many buckets"))
    }
}

impl<'de> Shape<'de> for &mut Element<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let fields = self.fields.get_or_insert_default();
        while let Some(Name(name)) = object.next_key()? {
            let Some(field) = Field::parse(&name) else {
                object.next_value::<IgnoredAny>()?;
                self.violations.unknown(&name);
                continue;
            };
            match &mut fields.0[field.place()] {
                Some(_) => {
                    object.next_value::<IgnoredAny>()?;
                    self.violations.repeated(&name);
                }
                absent => *absent = Some(object.next_value()?),
            }
        }
        Ok(())
    }

    fn otherwise(self, found: &Scalar<'de>) {
        self.violations.add_whole(found.unlike("an object"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_name_and_kept_in_its_place() {
        for (position, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field.place(), position);
            assert_eq!(Field::parse(field.name()), Some(field));
        }
        assert_eq!(Field::parse("Hour_start"), None);
    }
}
