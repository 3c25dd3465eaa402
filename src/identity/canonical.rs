//! RFC 8785 canonical JSON, written straight from a value: the fields of an object are put in order
//! as it ends, without a tree in between.

use std::io;
use std::ops::Range;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// The canonical form of a value whose keys are ASCII and whose numbers are integers below 2^53: keys
/// in order of their bytes, which RFC 8785's order (UTF-16 code units) is for them, and strings
/// escaped as its section 3.2.2.2 says, which is how `serde_json` escapes.
///
/// # Errors
/// When the value does not serialise.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut canonical = Canonical { out: Vec::with_capacity(2048), ..Canonical::default() };
    value.serialize(&mut Serializer::with_formatter(io::sink(), &mut canonical))?;
    String::from_utf8(canonical.out).map_err(serde::ser::Error::custom)
}

/// A field of an object that is still open, as places in what is written.
#[derive(Debug, Clone)]
struct Field {
    /// Between the quotes.
    key: Range<usize>,
    /// With its key.
    whole: Range<usize>,
}

/// Keeps what is written to itself, since fields that are written already may still move.
#[derive(Debug, Default)]
struct Canonical {
    out: Vec<u8>,
    /// Fields of all open objects, those of the innermost last.
    fields: Vec<Field>,
    /// How many fields there were as each open object began.
    open: Vec<usize>,
    sorted: Vec<u8>,
}

impl Canonical {
    /// Puts the fields of the object that ends here in order.
    fn end(&mut self) {
        let first = self.open.pop().unwrap_or_default();
        let Self { out, fields, sorted, .. } = self;
        let ours = &mut fields[first..];
        if !ours.is_sorted_by(|a, b| out[a.key.clone()] <= out[b.key.clone()]) {
            let begin = ours[0].whole.start;
            ours.sort_by(|a, b| out[a.key.clone()].cmp(&out[b.key.clone()]));
            sorted.clear();
            for (index, field) in ours.iter().enumerate() {
                if index > 0 {
                    sorted.push(b',');
                }
                sorted.extend_from_slice(&out[field.whole.clone()]);
            }
            out.truncate(begin);
            out.extend_from_slice(sorted);
        }
        fields.truncate(first);
    }
}

/// Methods that write what they are given as compact JSON has it.
macro_rules! as_compact {
    ($($method:ident($($value:ident: $of:ty)?)),+ $(,)?) => {$(
        fn $method<W: ?Sized + io::Write>(&mut self, _: &mut W $(, $value: $of)?) -> io::Result<()> {
            CompactFormatter.$method(&mut self.out $(, $value)?)
        }
    )+};
}

impl Formatter for &mut Canonical {
    as_compact! {
        write_null(), write_bool(value: bool), write_i8(value: i8), write_i16(value: i16),
        write_i32(value: i32), write_i64(value: i64), write_i128(value: i128), write_u8(value: u8),
        write_u16(value: u16), write_u32(value: u32), write_u64(value: u64), write_u128(value: u128),
        write_f32(value: f32), write_f64(value: f64), write_number_str(value: &str),
        begin_string(), end_string(), write_string_fragment(fragment: &str),
        write_char_escape(escape: CharEscape), write_byte_array(bytes: &[u8]),
        begin_array(), end_array(), begin_array_value(first: bool), end_array_value(),
        begin_object_value(), write_raw_fragment(fragment: &str),
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.open.push(self.fields.len());
        CompactFormatter.begin_object(&mut self.out)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.end();
        CompactFormatter.end_object(&mut self.out)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        _: &mut W,
        first: bool,
    ) -> io::Result<()> {
        CompactFormatter.begin_object_key(&mut self.out, first)?;
        let start = self.out.len();
        self.fields.push(Field { key: start..start, whole: start..start });
        Ok(())
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        let end = self.out.len();
        if let Some(field) = self.fields.last_mut() {
            field.key = field.whole.start + 1..end - 1;
        }
        Ok(())
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        // Fields of objects within are gone by now, so that the last one is this value's.
        let end = self.out.len();
        if let Some(field) = self.fields.last_mut() {
            field.whole.end = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_in_order_on_every_level() {
        #[derive(Serialize)]
        struct Outer {
            b: Inner,
            a_b: Option<Inner>,
            a: Vec<Inner>,
            c: bool,
        }
        #[derive(Serialize)]
        struct Inner {
            z: &'static str,
            y: i64,
        }
        #[derive(Serialize)]
        struct Empty {}
        let inner = |z, y| Inner { z, y };
        let value = Outer {
            b: inner("\u{1}\"满\\\n", -1),
            a_b: None,
            a: vec![inner("", 0), inner("x", 1 << 53)],
            c: true,
        };
        let tree = serde_json::to_value(&value).unwrap().to_string();
        assert_eq!(to_string(&value).unwrap(), tree);
        assert_eq!(to_string(&Empty {}).unwrap(), "{}");
        let values = json!([1, 1.5, null, "a", [], {"b": {}, "a": u64::MAX}, i64::MIN]);
        assert_eq!(to_string(&values).unwrap(), values.to_string());
    }
}
