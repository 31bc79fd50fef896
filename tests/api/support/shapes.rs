//! The shape of JSON: names in the order in which they came, and kinds of values.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// `{from:text,days:number,data:[{day:text}]}`; the elements of a list are told once for each shape that they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub String);

/// The shape of a text.
#[track_caller]
pub fn shape(json: &[u8]) -> String {
    let read: Result<Shape, _> = serde_json::from_slice(json);
    read.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(json))).0
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shapes)
    }
}

struct Shapes;

macro_rules! of_kind {
    ($($visit:ident($value:ty): $kind:literal),*) => {
        $(fn $visit<E>(self, _: $value) -> Result<Shape, E> {
            Ok(Shape($kind.to_owned()))
        })*
    };
}

impl<'de> Visitor<'de> for Shapes {
    type Value = Shape;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    of_kind!(visit_bool(bool): "truth", visit_u64(u64): "number", visit_i64(i64): "number", visit_f64(f64): "number",
        visit_str(&str): "text");

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape("null".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Shape, A::Error> {
        let mut shapes: Vec<String> = Vec::new();
        while let Some(Shape(element)) = elements.next_element()? {
            if !shapes.contains(&element) {
                shapes.push(element);
            }
        }
        Ok(Shape(format!("[{}]", shapes.join("|"))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some((name, Shape(value))) = members.next_entry::<String, Shape>()? {
            shapes.push(format!("{name}:{value}"));
        }
        Ok(Shape(format!("{{{}}}", shapes.join(","))))
    }
}
