//! Strict reading of JSON values by path: types, lengths, ranges and unknown keys, with the field's
//! path in every refusal. `rules.rs` says with it what a stock must be.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::answers::number;

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// JSON pointer to the field.
    pub field: String,
    /// What is wrong with it.
    pub issue: String,
    /// WeChat Pay's internal error number.
    pub number: u32,
}

pub(super) type Checked<T = ()> = Result<T, Refusal>;

/// An object and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Object<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

/// No limit on a string's length.
const ANY_LENGTH: usize = usize::MAX;

impl<'a> Object<'a> {
    /// Takes an object with these keys and no others.
    pub fn of(path: String, value: &'a Value, keys: &[&str]) -> Checked<Self> {
        let Some(map) = value.as_object() else {
            return Err(illegal(path, "must be an object"));
        };
        let object = Self { path, map };
        match map.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(illegal(object.at(key), "is not a field of this object")),
            None => Ok(object),
        }
    }

    /// The path of a field.
    pub fn at(&self, key: &str) -> String {
        format!("{}/{}", self.path, key.replace('~', "~0").replace('/', "~1"))
    }

    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// A refusal of one field.
    pub fn refuse<T>(&self, key: &str, issue: &str) -> Checked<T> {
        Err(illegal(self.at(key), issue))
    }

    fn required<T>(&self, key: &str, value: Option<T>) -> Checked<T> {
        value.ok_or_else(|| illegal(self.at(key), "is missing"))
    }

    /// A string, if there; an empty one is refused.
    pub fn text(&self, key: &str) -> Checked<Option<&'a str>> {
        self.text_up_to(key, ANY_LENGTH)
    }

    /// A string of at most so many characters, if there.
    pub fn text_up_to(&self, key: &str, most: usize) -> Checked<Option<&'a str>> {
        let Some(value) = self.map.get(key) else {
            return Ok(None);
        };
        let Some(text) = value.as_str() else {
            return self.refuse(key, "must be a string");
        };
        if text.is_empty() {
            return Err(self.empty(key));
        }
        if most != ANY_LENGTH && text.chars().count() > most {
            let issue = format!("must be at most {most} characters");
            return Err(Refusal { field: self.at(key), issue, number: number::TOO_LONG });
        }
        Ok(Some(text))
    }

    fn empty(&self, key: &str) -> Refusal {
        let issue = "must not be empty".to_owned();
        Refusal { field: self.at(key), issue, number: number::TOO_SHORT }
    }

    /// A string.
    pub fn needs_text(&self, key: &str) -> Checked<&'a str> {
        self.needs_text_up_to(key, ANY_LENGTH)
    }

    /// A string of at most so many characters.
    pub fn needs_text_up_to(&self, key: &str, most: usize) -> Checked<&'a str> {
        let text = self.text_up_to(key, most)?;
        self.required(key, text)
    }

    /// One of these words, if there.
    pub fn word(&self, key: &str, words: &[&str]) -> Checked<Option<&'a str>> {
        let text = self.text(key)?;
        if text.is_some_and(|text| !words.contains(&text)) {
            return self.refuse(key, &format!("must be one of {}", words.join(", ")));
        }
        Ok(text)
    }

    /// One of these words.
    pub fn needs_word(&self, key: &str, words: &[&str]) -> Checked<&'a str> {
        let word = self.word(key, words)?;
        self.required(key, word)
    }

    /// A whole number in a range, if there.
    pub fn whole(&self, key: &str, range: RangeInclusive<i64>) -> Checked<Option<i64>> {
        let Some(value) = self.map.get(key) else {
            return Ok(None);
        };
        let Some(whole) = value.as_i64() else {
            return self.refuse(key, "must be a whole number");
        };
        if !range.contains(&whole) {
            let issue = format!("must be from {} to {}", range.start(), range.end());
            return Err(Refusal { field: self.at(key), issue, number: number::OUT_OF_RANGE });
        }
        Ok(Some(whole))
    }

    /// A whole number in a range.
    pub fn needs_whole(&self, key: &str, range: RangeInclusive<i64>) -> Checked<i64> {
        let whole = self.whole(key, range)?;
        self.required(key, whole)
    }

    /// A boolean, if there.
    pub fn flag(&self, key: &str) -> Checked<Option<bool>> {
        match self.map.get(key).map(Value::as_bool) {
            Some(None) => self.refuse(key, "must be true or false"),
            flag => Ok(flag.flatten()),
        }
    }

    /// An object with these keys, if there.
    pub fn object(&self, key: &str, keys: &[&str]) -> Checked<Option<Object<'a>>> {
        self.map.get(key).map(|value| Object::of(self.at(key), value, keys)).transpose()
    }

    /// An object with these keys.
    pub fn needs_object(&self, key: &str, keys: &[&str]) -> Checked<Object<'a>> {
        let object = self.object(key, keys)?;
        self.required(key, object)
    }

    /// The items of a list, if there.
    pub fn list(&self, key: &str) -> Checked<Option<&'a [Value]>> {
        match self.map.get(key).map(Value::as_array) {
            Some(None) => self.refuse(key, "must be a list"),
            list => Ok(list.flatten().map(Vec::as_slice)),
        }
    }

    /// The items of a list that is not empty, if there.
    pub fn filled_list(&self, key: &str) -> Checked<Option<&'a [Value]>> {
        let list = self.list(key)?;
        if list.is_some_and(<[Value]>::is_empty) { Err(self.empty(key)) } else { Ok(list) }
    }

    /// A list of objects with these keys, if there.
    pub fn objects(&self, key: &str, keys: &[&str]) -> Checked<Vec<Object<'a>>> {
        let items = self.list(key)?.unwrap_or_default().iter().enumerate();
        let at = |place| format!("{}/{place}", self.at(key));
        items.map(|(place, item)| Object::of(at(place), item, keys)).collect()
    }

    /// A list of these words without repeats, if there.
    pub fn words(&self, key: &str, words: &[&str]) -> Checked<Vec<&'a str>> {
        let mut seen = Vec::new();
        for (place, item) in self.list(key)?.unwrap_or_default().iter().enumerate() {
            let at = || format!("{}/{place}", self.at(key));
            let Some(word) = item.as_str().filter(|word| words.contains(word)) else {
                return Err(illegal(at(), &format!("must be one of {}", words.join(", "))));
            };
            if seen.contains(&word) {
                return Err(illegal(at(), &format!("{word} is there twice")));
            }
            seen.push(word);
        }
        Ok(seen)
    }

    /// Refuses to have more than one of these keys; gives the one that is there.
    pub fn at_most_one_of<'k>(&self, keys: &[&'k str]) -> Checked<Option<&'k str>> {
        let mut there = keys.iter().copied().filter(|key| self.has(key));
        let first = there.next();
        match (first, there.next()) {
            (Some(first), Some(second)) => {
                self.refuse(second, &format!("must not be given together with {first}"))
            }
            _ => Ok(first),
        }
    }

    /// Refuses to have only one of two keys.
    pub fn together(&self, one: &str, other: &str) -> Checked {
        match (self.has(one), self.has(other)) {
            (true, false) => self.refuse(other, &format!("is required together with {one}")),
            (false, true) => self.refuse(one, &format!("is required together with {other}")),
            _ => Ok(()),
        }
    }
}

fn illegal(field: String, issue: &str) -> Refusal {
    Refusal { field, issue: issue.to_owned(), number: number::ILLEGAL }
}
