//! The rules of the API on a stock document, and of the workspace across documents. Pure: what is
//! found are paths into the document; where they are in a file is `desired`'s knowledge.

pub mod period;
pub mod rule;
pub mod stock;
#[cfg(test)]
mod tests;
pub mod workspace;

use std::fmt;

use jiff::Timestamp;

use crate::desired::StockDocument;
use crate::identity::StockName;
use crate::wechatpay::stock::limits;
use rule::Rule;

/// A step into a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A key of a mapping.
    Key(String),
    /// An item of a list, from 0.
    Index(usize),
}

/// A way into a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path(pub Vec<Segment>);

impl Path {
    /// The path one key further in.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.0.push(Segment::Key(key.to_owned()));
        path
    }

    /// The path one item further in.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(Segment::Index(index));
        path
    }
}

impl From<&str> for Path {
    /// From keys between dots; for fixed paths.
    fn from(text: &str) -> Self {
        Self(text.split('.').map(|key| Segment::Key(key.to_owned())).collect())
    }
}

/// A way into a document, as a check goes along it: nothing is allocated until it is part of a
/// problem, since most checks find none.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    above: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// A key of the document itself.
    fn top(key: &'a str) -> Self {
        Self { above: None, step: Step::Key(key) }
    }

    /// The way one key further in.
    fn key(&'a self, key: &'a str) -> Self {
        Self { above: Some(self), step: Step::Key(key) }
    }

    /// The way one item further in.
    fn index(&'a self, index: usize) -> Self {
        Self { above: Some(self), step: Step::Index(index) }
    }

    /// The innermost key.
    fn last_key(&self) -> &'a str {
        match (self.step, self.above) {
            (Step::Key(key), _) => key,
            (Step::Index(_), Some(above)) => above.last_key(),
            (Step::Index(_), None) => "",
        }
    }
}

impl From<At<'_>> for Path {
    fn from(at: At<'_>) -> Self {
        let above = at.above.map_or_else(Self::default, |above| (*above).into());
        match at.step {
            Step::Key(key) => above.key(key),
            Step::Index(index) => above.index(index),
        }
    }
}

impl From<&At<'_>> for Path {
    fn from(at: &At<'_>) -> Self {
        (*at).into()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if index == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// A rule that a document breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The rule.
    pub rule: Rule,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The value; for something that is missing, what it is missing from.
    pub path: Path,
    /// Whether the key is meant, not its value.
    pub at_key: bool,
    /// Other values that belong to it, and what they say.
    pub related: Vec<(Path, String)>,
    /// The edit to make.
    pub help: Option<String>,
}

impl Problem {
    /// A problem with one value.
    pub fn new(rule: Rule, path: impl Into<Path>, message: impl Into<String>) -> Self {
        let (path, message) = (path.into(), message.into());
        Self { rule, message, path, at_key: false, related: Vec::new(), help: None }
    }

    /// With the edit to make.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another place.
    #[must_use]
    pub fn and(mut self, path: impl Into<Path>, label: impl Into<String>) -> Self {
        self.related.push((path.into(), label.into()));
        self
    }

    /// Meaning the key.
    #[must_use]
    pub fn at_key(mut self) -> Self {
        self.at_key = true;
        self
    }
}

/// Holds a document against every rule.
#[must_use]
pub fn check(document: &StockDocument, now: Timestamp) -> Vec<Problem> {
    let mut found = Vec::new();
    let name = &document.name;
    if StockName::parse(name).is_none() {
        let problem = Problem::new(
            Rule::NameInvalid,
            "name",
            "a name has 1 to 63 of a-z, 0-9 and `-`, and begins and ends with a letter or digit",
        );
        let near = near_name(name);
        found.push(match near {
            Some(near) => problem.help(format!("write `{near}`")),
            None => problem,
        });
    }
    if !(1..=limits::SAFE_INTEGER).contains(&document.generation) {
        found.push(Problem::new(
            Rule::GenerationOutOfRange,
            "generation",
            format!("a generation is a whole number from 1 up, not {}", document.generation),
        ));
    }
    let id = &document.product_coupon_id;
    let plain = id.bytes().all(|byte| byte.is_ascii_graphic());
    if id.is_empty()
        || id.chars_count() > limits::ID_CHARS
        || !plain
        || **id == *"."
        || **id == *".."
    {
        let problem = Problem::new(
            Rule::ProductCouponIdInvalid,
            "product_coupon_id",
            format!(
                "a product coupon id has 1 to {} ASCII characters without spaces",
                limits::ID_CHARS
            ),
        );
        let near = to_half_width(id.trim());
        found.push(
            if near != **id && near.bytes().all(|b| b.is_ascii_graphic()) && !near.is_empty() {
                problem.help(format!("write \"{near}\""))
            } else {
                problem.help("copy it from the brand console")
            },
        );
    }
    stock::check(&document.stock, now, &mut found);
    found
}

/// A valid name that is close to an invalid one.
fn near_name(name: &str) -> Option<String> {
    let mut near = String::new();
    for character in name.chars().take(crate::identity::NAME_CHARS) {
        match character.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => near.push(c),
            _ if near.ends_with('-') => {}
            _ => near.push('-'),
        }
    }
    let near = near.trim_matches('-');
    StockName::parse(near).map(|name| name.to_string())
}

/// Text with full-width letters, digits and signs as their ASCII forms.
#[must_use]
pub fn to_half_width(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
            '\u{3000}' => ' ',
            _ => c,
        })
        .collect()
}
