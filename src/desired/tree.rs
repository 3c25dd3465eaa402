//! The reader that keeps places: YAML events to a small tree, with anchors, aliases and `<<` merges
//! resolved. The reference for what a file says; the fast reader takes only files of which both say
//! the same.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::diagnostic::Span;
use crate::validate::rule::Rule;
use crate::validate::{Path, Segment};

/// Deepest nesting; a stock needs 8 levels.
const DEEPEST: usize = 32;
/// Most values of a document, aliases expanded; a stock has fewer than 300.
const MOST_NODES: usize = 20_000;

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands; of a list or mapping, where it begins.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number in decimal digits.
    Integer(i64),
    /// A number in another form: a fraction, an exponent, hexadecimal, too large, `-0`, `.inf`.
    Number(String),
    /// Text; `plain` when it stands without quotes.
    Text {
        /// The text.
        text: String,
        /// Without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Rc<Node>>),
    /// A mapping, in order.
    Map(Vec<(Key, Rc<Node>)>),
}

/// A key with its place.
#[derive(Debug, Clone)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// Something in a file that keeps it from being read as it stands.
#[derive(Debug, Clone)]
pub struct Flaw {
    /// The rule.
    pub rule: Rule,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Another place.
    pub label: Option<(Span, String)>,
    /// The edit to make.
    pub help: Option<String>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Documents {
    /// The root of each document that is not empty, with its place in the file's order.
    pub roots: Vec<Rc<Node>>,
    /// What is wrong beside.
    pub flaws: Vec<Flaw>,
}

/// Reads all documents of a text, as far as it is YAML.
#[must_use]
pub fn read(text: &str) -> Documents {
    let offsets = Offsets::new(text);
    let mut builder = Builder { offsets, documents: Documents::default(), ..Builder::default() };
    // The parser works event by event, so that a limit ends it before depth or size can hurt.
    for event in Parser::new_from_str(text) {
        let result = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let at = builder.offsets.byte(error.marker().index());
                Err(Box::new(syntax(error.info(), text, at)))
            }
        };
        if let Err(flaw) = result {
            builder.documents.flaws.push(*flaw);
            break;
        }
    }
    builder.documents
}

fn too_deep(span: Span) -> Flaw {
    flaw(Rule::TooDeep, span, format!("the document is nested more than {DEEPEST} levels deep"))
}

fn syntax(info: &str, text: &str, at: usize) -> Flaw {
    let at = at.min(text.len());
    let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let before = &text[line..];
    let help = if before.trim_start_matches(' ').starts_with('\t') || info.contains("tab") {
        Some("indent with spaces, not with tabs".to_owned())
    } else if before.contains('：') {
        Some("write the colon as `:` followed by a space, not full-width `：`".to_owned())
    } else if info.contains("indentation") && text[at..].starts_with([']', '}']) {
        Some("indent the closing bracket at least as far as the line that opens it".to_owned())
    } else if text[at..end].contains('\0') {
        Some("remove the NUL byte".to_owned())
    } else {
        None
    };
    if info.contains("recursion limit") {
        return too_deep(Span { start: at, end });
    }
    let message = format!("this is not YAML: {info}");
    Flaw { rule: Rule::YamlSyntax, message, span: Span { start: at, end }, label: None, help }
}

/// Character indexes to byte offsets: one entry every so many characters, then a short walk.
#[derive(Debug, Default)]
struct Offsets {
    text: String,
    steps: Vec<usize>,
}

/// Characters between two entries.
const STEP: usize = 64;

impl Offsets {
    fn new(text: &str) -> Self {
        let steps = text.char_indices().step_by(STEP).map(|(at, _)| at).collect();
        Self { text: text.to_owned(), steps }
    }

    fn byte(&self, character: usize) -> usize {
        let Some(start) = self.steps.get(character / STEP) else { return self.text.len() };
        self.text[*start..]
            .char_indices()
            .nth(character % STEP)
            .map_or(self.text.len(), |(at, _)| start + at)
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        Span { start: self.byte(span.start.index()), end: self.byte(span.end.index()) }
    }
}

/// A list or mapping whose end has not come.
#[derive(Debug)]
struct Open {
    anchor: usize,
    span: Span,
    content: Content,
    nodes: usize,
}

#[derive(Debug)]
enum Content {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<(Key, Rc<Node>)>, key: Option<Key> },
}

#[derive(Debug, Default)]
struct Builder {
    offsets: Offsets,
    documents: Documents,
    open: Vec<Open>,
    anchors: HashMap<usize, (Rc<Node>, usize)>,
    nodes: usize,
}

type Step = Result<(), Box<Flaw>>;

fn flaw(rule: Rule, span: Span, message: impl Into<String>) -> Flaw {
    Flaw { rule, message: message.into(), span, label: None, help: None }
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: saphyr_parser::Span) -> Step {
        let span = self.offsets.span(span);
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.nodes = 0;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), span);
                self.complete(anchor, Node { span, value }, 1)?;
            }
            Event::Alias(id) => {
                if let Some((node, nodes)) = self.anchors.get(&id).cloned() {
                    self.place(node, nodes, span)?;
                } else {
                    let message = "this alias stands inside of what it stands for";
                    return Err(flaw(Rule::BadAlias, span, message).into());
                }
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", span);
                self.begin(anchor, span, Content::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", span);
                self.begin(anchor, span, Content::Map { entries: Vec::new(), key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.end(open)?;
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, span: Span, content: Content) -> Step {
        if self.open.len() >= DEEPEST {
            return Err(too_deep(self.shown(span)).into());
        }
        self.open.push(Open { anchor, span: self.shown(span), content, nodes: 1 });
        Ok(())
    }

    /// A block's start has no length: its first character stands for it.
    fn shown(&self, span: Span) -> Span {
        let end = self.offsets.text[span.start..].chars().next().map_or(0, char::len_utf8);
        Span { start: span.start, end: span.end.max(span.start + end).min(span.start + end.max(1)) }
    }

    fn end(&mut self, open: Open) -> Step {
        let Open { anchor, span, content, nodes } = open;
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, .. } => Value::Map(self.merged(entries)?),
        };
        self.complete(anchor, Node { span, value }, nodes)
    }

    fn complete(&mut self, anchor: usize, node: Node, nodes: usize) -> Step {
        let (span, node) = (node.span, Rc::new(node));
        if anchor != 0 {
            self.anchors.insert(anchor, (Rc::clone(&node), nodes));
        }
        self.place(node, nodes, span)
    }

    /// Puts a value where it belongs: into the list or mapping that is open, or as a document.
    fn place(&mut self, node: Rc<Node>, nodes: usize, span: Span) -> Step {
        let Some(open) = self.open.last_mut() else {
            if !matches!(node.value, Value::Null) {
                self.documents.roots.push(node);
            }
            return Ok(());
        };
        open.nodes += nodes;
        if open.nodes > MOST_NODES {
            let message =
                format!("the document has more than {MOST_NODES} values, aliases expanded");
            return Err(flaw(Rule::TooManyNodes, span, message).into());
        }
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key } => {
                if let Some(key) = key.take() {
                    entries.push((key, node));
                } else {
                    let text = match &node.value {
                        Value::Text { text, .. } | Value::Number(text) => text.clone(),
                        Value::Integer(number) => number.to_string(),
                        Value::Bool(value) => value.to_string(),
                        Value::Null => "null".to_owned(),
                        Value::List(_) | Value::Map(_) => {
                            let message = "a key is a word, not a list or mapping";
                            return Err(flaw(Rule::YamlSyntax, node.span, message).into());
                        }
                    };
                    *key = Some(Key { text, span });
                }
            }
        }
        Ok(())
    }

    /// Resolves `<<`, and reports keys that stand there twice.
    fn merged(&mut self, entries: Vec<(Key, Rc<Node>)>) -> Result<Vec<(Key, Rc<Node>)>, Box<Flaw>> {
        let mut own: Vec<(Key, Rc<Node>)> = Vec::with_capacity(entries.len());
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
        let mut merges = Vec::new();
        for (key, node) in entries {
            if let Some(first) = seen.get(&key.text) {
                let message = format!("the key `{}` stands there twice", shorten(&key.text));
                self.documents.flaws.push(Flaw {
                    label: Some((*first, "here for the first time".to_owned())),
                    help: Some("remove one of them".to_owned()),
                    ..flaw(Rule::DuplicateKey, key.span, message)
                });
                continue;
            }
            seen.insert(key.text.clone(), key.span);
            if key.text == "<<" { merges.push((key, node)) } else { own.push((key, node)) }
        }
        for (key, node) in merges {
            let sources: Vec<&Rc<Node>> = match &node.value {
                Value::Map(_) => vec![&node],
                Value::List(items) => items.iter().collect(),
                _ => Vec::new(),
            };
            let maps = sources.iter().all(|source| matches!(source.value, Value::Map(_)));
            if sources.is_empty() || !maps {
                let message = "`<<` merges a mapping or a list of mappings, and this is neither";
                return Err(flaw(Rule::BadMerge, key.span, message).into());
            }
            for source in sources {
                let Value::Map(entries) = &source.value else { continue };
                for (key, node) in entries {
                    // The mapping's own keys win, then the first source that has a key.
                    if !seen.contains_key(&key.text) {
                        seen.insert(key.text.clone(), key.span);
                        own.push((key.clone(), Rc::clone(node)));
                    }
                }
            }
        }
        Ok(own)
    }

    fn check_tag(&mut self, tag: Option<&Tag>, expected: &str, span: Span) {
        if let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == expected))
        {
            let message =
                format!("the tag `{}` is not used in stock files", shorten(&tag.to_string()));
            let span = self.shown(span);
            self.documents.flaws.push(Flaw {
                help: Some("remove the tag".to_owned()),
                ..flaw(Rule::BadTag, span, message)
            });
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Value {
        let plain = style == ScalarStyle::Plain;
        match tag {
            None if plain => resolve(text),
            Some(tag)
                if tag.is_yaml_core_schema() && matches!(tag.suffix.as_str(), "int" | "bool") =>
            {
                resolve(text)
            }
            None => Value::Text { text: text.to_owned(), plain: false },
            Some(tag) => {
                self.check_tag(Some(tag), "str", span);
                Value::Text { text: text.to_owned(), plain: false }
            }
        }
    }
}

/// What a plain scalar is, by the YAML 1.2 core schema, with every number but a decimal integer kept
/// apart.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let all = |digits: &str, fits: fn(&u8) -> bool| {
        !digits.is_empty() && digits.as_bytes().iter().all(fits)
    };
    if all(digits, u8::is_ascii_digit) {
        let leading = digits.len() > 1 && digits.starts_with('0');
        return match text.parse::<i64>() {
            Ok(number) if !leading && text != "-0" && text != "+0" => Value::Integer(number),
            _ => Value::Number(text.to_owned()),
        };
    }
    let based = digits.strip_prefix("0x").is_some_and(|d| all(d, u8::is_ascii_hexdigit))
        || digits
            .strip_prefix("0o")
            .or(digits.strip_prefix("0b"))
            .is_some_and(|d| all(d, u8::is_ascii_digit));
    let infinite = matches!(digits.to_ascii_lowercase().as_str(), ".inf" | ".nan");
    let grouped = digits.starts_with(|c: char| c.is_ascii_digit())
        && all(digits, |b| b.is_ascii_digit() || *b == b'_');
    let float = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.parse::<f64>().is_ok();
    if based || infinite || grouped || float {
        return Value::Number(text.to_owned());
    }
    Value::Text { text: text.to_owned(), plain: true }
}

/// A word short enough to be shown.
#[must_use]
pub fn shorten(text: &str) -> String {
    let text = crate::plain::plain(text);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

impl Node {
    /// The place of a path: of its value where that is a word or number, otherwise of its key. What
    /// is missing is shown where it is missing from.
    #[must_use]
    pub fn locate(&self, path: &Path, at_key: bool) -> Span {
        let mut span = self.first_key().unwrap_or(self.span);
        let mut node = self;
        for (index, segment) in path.0.iter().enumerate() {
            let last = index + 1 == path.0.len();
            let (key_span, next) = match (segment, &node.value) {
                (Segment::Key(key), Value::Map(entries)) => {
                    match entries.iter().find(|(known, _)| known.text == *key) {
                        Some((key, next)) => (Some(key.span), next),
                        None => return span,
                    }
                }
                (Segment::Index(item), Value::List(items)) => match items.get(*item) {
                    Some(next) => (None, next),
                    None => return span,
                },
                _ => return span,
            };
            let compound = matches!(next.value, Value::List(_) | Value::Map(_) | Value::Null);
            span = match key_span {
                Some(key) if compound || (last && at_key) => key,
                None if compound => next.first_key().unwrap_or(next.span),
                _ => next.span,
            };
            node = next;
        }
        span
    }

    fn first_key(&self) -> Option<Span> {
        match &self.value {
            Value::Map(entries) => entries.first().map(|(key, _)| key.span),
            _ => None,
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => {
                entries.iter().find(|(known, _)| known.text == key).map(|(_, node)| &**node)
            }
            _ => None,
        }
    }
}
