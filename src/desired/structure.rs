//! Whether a tree has the shape of a stock document: known keys, required keys, types, fixed values.
//! The shape is read from the schema of the Rust types, so that a field is written once.

use std::sync::OnceLock;

use serde_json::{Map, Value as Json};

use super::schema;
use super::tree::{Node, Value, shorten};
use crate::validate::rule::{Rule, nearest};
use crate::validate::{Path, Problem, to_half_width};

/// The shape of a value.
#[derive(Debug)]
enum Shape {
    Text,
    Integer,
    Bool,
    OneOf(Vec<String>),
    List(Box<Shape>),
    Map(Vec<Field>),
}

#[derive(Debug)]
struct Field {
    name: String,
    required: bool,
    /// How the field is written, for telling somebody who left it out.
    example: Option<Json>,
    shape: Shape,
}

/// The shape of a stock document.
fn document() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(|| {
        let schema = schema::plain();
        shape(&schema, &schema)
    })
}

fn shape(schema: &Json, root: &Json) -> Shape {
    if let Some(name) = schema["$ref"].as_str() {
        return shape(root.pointer(name.trim_start_matches('#')).unwrap_or(&Json::Null), root);
    }
    // A field with a description of its own wraps the reference to its type.
    if let Some([inner]) = schema["allOf"].as_array().map(Vec::as_slice) {
        return shape(inner, root);
    }
    let names = |list: &Json| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
    };
    if let Some(variants) = schema["oneOf"].as_array() {
        let consts = variants.iter().filter_map(|variant| variant["const"].as_str());
        let listed = variants.iter().flat_map(|variant| names(&variant["enum"]));
        return Shape::OneOf(consts.map(str::to_owned).chain(listed).collect());
    }
    if schema["enum"].is_array() {
        return Shape::OneOf(names(&schema["enum"]));
    }
    match schema["type"].as_str() {
        Some("integer") => Shape::Integer,
        Some("boolean") => Shape::Bool,
        Some("array") => Shape::List(Box::new(shape(&schema["items"], root))),
        Some("object") => {
            let required = names(&schema["required"]);
            let fields = schema["properties"].as_object().into_iter().flatten();
            Shape::Map(
                fields
                    .map(|(name, field)| Field {
                        name: name.clone(),
                        required: required.contains(name),
                        example: field["examples"].get(0).cloned(),
                        shape: shape(field, root),
                    })
                    .collect(),
            )
        }
        _ => Shape::Text,
    }
}

/// What the shape says about a document.
#[derive(Debug)]
pub struct Checked {
    /// What does not fit.
    pub problems: Vec<Problem>,
    /// The document as JSON, with a value of the right type in place of each that does not fit.
    pub json: Json,
    /// Where such values stand: what other rules say about them means nothing.
    pub filled_in: Vec<Path>,
}

/// Checks the shape of a document.
#[must_use]
pub fn check(root: &Node) -> Checked {
    let mut checker = Checker { problems: Vec::new(), filled_in: Vec::new() };
    let json = checker.value(root, document(), &Path::default());
    Checked { problems: checker.problems, json, filled_in: checker.filled_in }
}

struct Checker {
    problems: Vec<Problem>,
    filled_in: Vec<Path>,
}

/// A value that fits a shape.
fn placeholder(shape: &Shape) -> Json {
    match shape {
        Shape::Text => "x".into(),
        Shape::Integer => 1.into(),
        Shape::Bool => false.into(),
        Shape::OneOf(names) => names.first().map_or("", String::as_str).into(),
        Shape::List(_) => Json::Array(Vec::new()),
        Shape::Map(fields) => fields
            .iter()
            .filter(|field| field.required)
            .map(|field| (field.name.clone(), placeholder(&field.shape)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

impl Checker {
    fn value(&mut self, node: &Node, shape: &Shape, at: &Path) -> Json {
        match (shape, &node.value) {
            (Shape::Text, Value::Text { text, .. }) => text.as_str().into(),
            (Shape::Integer, Value::Integer(number)) => (*number).into(),
            (Shape::Bool, Value::Bool(value)) => (*value).into(),
            (Shape::OneOf(names), Value::Text { text, .. }) if names.contains(text) => {
                text.as_str().into()
            }
            (Shape::List(item), Value::List(nodes)) => nodes
                .iter()
                .enumerate()
                .map(|(index, node)| self.value(node, item, &at.index(index)))
                .collect(),
            (Shape::Map(fields), Value::Map(_)) => self.map(node, fields, at),
            _ => {
                self.problems.push(misfit(node, shape, at));
                self.filled_in.push(at.clone());
                placeholder(shape)
            }
        }
    }

    fn map(&mut self, node: &Node, fields: &[Field], at: &Path) -> Json {
        let Value::Map(entries) = &node.value else { return Json::Null };
        let mut json = Map::new();
        for (key, node) in entries {
            match fields.iter().find(|field| field.name == key.text) {
                Some(field) => {
                    let value = self.value(node, &field.shape, &at.key(&key.text));
                    json.insert(key.text.clone(), value);
                }
                None => self.problems.push(unknown(&key.text, fields, at)),
            }
        }
        let missing = fields.iter().filter(|f| f.required && !json.contains_key(&f.name));
        for field in missing.collect::<Vec<_>>() {
            let owner = match at.0.last() {
                Some(_) => format!("`{at}`"),
                None => "the document".to_owned(),
            };
            let message = format!("{owner} has no `{}`", field.name);
            let help = match (&field.shape, &field.example) {
                (Shape::OneOf(names), _) => format!("add `{}:` with {}", field.name, one_of(names)),
                (_, Some(example)) => {
                    format!("add `{}: {example}`, with your own value", field.name)
                }
                _ => format!("add `{}:` with its fields", field.name),
            };
            self.problems.push(Problem::new(Rule::MissingKey, at.clone(), message).help(help));
            self.filled_in.push(at.key(&field.name));
            json.insert(field.name.clone(), placeholder(&field.shape));
        }
        json.into()
    }
}

fn one_of(names: &[String]) -> String {
    match names {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.join(", "),
    }
}

fn unknown(key: &str, fields: &[Field], at: &Path) -> Problem {
    let owner = if at.0.is_empty() { "a stock document".to_owned() } else { format!("`{at}`") };
    let message = format!("`{}` is not a field of {owner}", shorten(key));
    let problem = Problem::new(Rule::UnknownKey, at.key(key), message).at_key();
    let half = to_half_width(key);
    if let Some(near) = nearest(&half, fields.iter().map(|field| field.name.as_str())) {
        return problem.help(format!("did you mean `{near}`?"));
    }
    match elsewhere(&half, document(), &Path::default()) {
        Some(owner) if owner.0.is_empty() => {
            problem.help(format!("`{half}` belongs to the document itself, beside `name`"))
        }
        Some(owner) => problem.help(format!("`{half}` belongs to `{owner}`")),
        None => {
            let names: Vec<_> = fields.iter().map(|field| field.name.clone()).collect();
            problem.help(format!("its fields are {}", names.join(", ")))
        }
    }
}

/// Where a key belongs that stands in the wrong mapping.
fn elsewhere(key: &str, shape: &Shape, at: &Path) -> Option<Path> {
    match shape {
        Shape::Map(fields) => {
            if fields.iter().any(|field| field.name == key) {
                return Some(at.clone());
            }
            fields.iter().find_map(|field| elsewhere(key, &field.shape, &at.key(&field.name)))
        }
        Shape::List(item) => elsewhere(key, item, at),
        _ => None,
    }
}

/// What a shape is called.
fn name(shape: &Shape) -> &'static str {
    match shape {
        Shape::Text | Shape::OneOf(_) => "text",
        Shape::Integer => "a whole number",
        Shape::Bool => "true or false",
        Shape::List(_) => "a list",
        Shape::Map(_) => "a mapping of fields",
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Integer(number) => format!("the number {number}"),
        Value::Number(text) => format!("the number {}", shorten(text)),
        Value::Text { text, .. } => format!("the text \"{}\"", shorten(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

/// A value of the wrong type, with what was most likely meant.
fn misfit(node: &Node, shape: &Shape, at: &Path) -> Problem {
    let key = match at.0.last() {
        Some(crate::validate::Segment::Key(key)) => format!("`{key}`"),
        Some(crate::validate::Segment::Index(_)) => "an item of this list".to_owned(),
        None => "a stock document".to_owned(),
    };
    if let (Shape::OneOf(names), Value::Text { text, .. }) = (shape, &node.value) {
        let message = format!("{key} must be {}, not \"{}\"", one_of(names), shorten(text));
        let problem = Problem::new(Rule::UnknownValue, at.clone(), message);
        let near = nearest(&to_half_width(text.trim()), names.iter().map(String::as_str));
        return match near {
            Some(near) => problem.help(format!("did you mean {near}?")),
            None => problem,
        };
    }
    let message = format!("{key} must be {}, but this is {}", name(shape), found(&node.value));
    let rule = match (shape, &node.value) {
        (Shape::Integer, Value::Number(text)) if !is_fraction(text) => Rule::NumberForm,
        _ => Rule::WrongType,
    };
    let problem = Problem::new(rule, at.clone(), message);
    match help(node, shape, at) {
        Some(help) => problem.help(help),
        None => problem,
    }
}

fn is_fraction(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    digits.contains('.') && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn help(node: &Node, shape: &Shape, at: &Path) -> Option<String> {
    match (shape, &node.value) {
        (_, Value::Null) => {
            Some("write a value, or remove the line if the field is optional".to_owned())
        }
        (Shape::Text, Value::Integer(number)) => Some(format!("quote it: \"{number}\"")),
        (Shape::Text | Shape::OneOf(_), Value::Number(text)) => {
            Some(format!("quote it: \"{}\"", shorten(text)))
        }
        (Shape::Text, Value::Bool(value)) => Some(format!("quote it: \"{value}\"")),
        (Shape::Integer, Value::Number(text)) => integer_help(text, at),
        (Shape::Integer, Value::Text { text, .. }) => text_to_integer(text, at),
        (Shape::Bool, Value::Text { text, .. }) => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("write true".to_owned()),
            "no" | "off" | "n" | "false" => Some("write false".to_owned()),
            _ => None,
        },
        (Shape::Bool, Value::Integer(0)) => Some("write false".to_owned()),
        (Shape::Bool, Value::Integer(1)) => Some("write true".to_owned()),
        (Shape::List(_), Value::Text { text, .. }) => {
            Some(format!("write it as a list: [{}]", shorten(text)))
        }
        (Shape::List(_), Value::Map(_)) => Some("begin each item of the list with `- `".to_owned()),
        (Shape::Map(_), Value::List(_)) => {
            Some("remove the `- ` in front of its fields".to_owned())
        }
        _ => None,
    }
}

fn is_amount(at: &Path) -> bool {
    matches!(
        at.0.last(),
        Some(crate::validate::Segment::Key(key)) if matches!(key.as_str(), "threshold" | "discount_amount" | "exchange_price")
    )
}

/// CNY with at most two decimals, as fen.
fn fen(text: &str) -> Option<i64> {
    let (whole, cents) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || cents.len() > 2 || !digits(whole) || !digits(cents) {
        return None;
    }
    let cents: i64 = format!("{cents:0<2}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(cents)
}

fn integer_help(text: &str, at: &Path) -> Option<String> {
    if is_amount(at) && is_fraction(text) {
        return fen(text).map(|fen| format!("amounts are whole fen: CNY {text} is {fen}"));
    }
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(hex) = digits.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(|number| format!("write {number}"));
    }
    if let Ok(number) = digits.parse::<i64>() {
        return Some(format!("write {number}"));
    }
    let number: f64 = digits.parse().ok()?;
    // Exact in this range, and nothing that is written here is near its end.
    #[allow(clippy::cast_possible_truncation)]
    let whole = (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64);
    whole.map(|number| format!("write {number}"))
}

fn text_to_integer(text: &str, at: &Path) -> Option<String> {
    let half = to_half_width(text.trim());
    let bare = half.trim_start_matches(['¥', '￥', '$']).trim();
    let yuan = bare.len() < half.len() || bare.ends_with(['元', '块']);
    let bare = bare.trim_end_matches(['%', '元', '块', '张', '天', '分']).trim();
    let bare: String = bare.chars().filter(|c| *c != ',' && *c != '_').collect();
    if is_amount(at) && (yuan || is_fraction(&bare)) {
        return fen(&bare).map(|fen| format!("amounts are whole fen: CNY {bare} is {fen}"));
    }
    let number: i64 = bare.parse().ok()?;
    Some(format!("write {number}, a number without quotes or signs"))
}
