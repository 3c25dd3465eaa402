//! One file to desired stocks and problems. A file that is plain and right is read once, by the fast
//! reader; any other by the reader that keeps places, which says what is wrong and where.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::diagnostic::{Diagnostic, Label, Source, Span};
use super::files::{Finder, Found};
use super::tree::{self, Flaw, Node};
use super::{DesiredStock, StockDocument, structure};
use crate::identity::{ContentSha256, StockName};
use crate::plain::holds_private_key;
use crate::stamp::Stamp;
use crate::validate::rule::Rule;
use crate::validate::{self, Problem};

/// Largest file.
const MOST_BYTES: u64 = 4 << 20;
/// What a document begins with that is not the only one.
const DOCUMENT_START: &str = "---";
/// Most documents of a file.
const MOST_DOCUMENTS: usize = 1000;

/// Most brackets that may be open at once; with more, the fast reader takes quadratic time.
const MOST_BRACKETS: i32 = 32;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// A file as it was read.
#[derive(Debug)]
pub struct FileRead {
    /// Its stocks without errors.
    pub stocks: Vec<DesiredStock>,
    /// What is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
    /// What it looked like; none when it could not be read.
    pub stamp: Option<Stamp>,
}

/// Reads and checks a file.
pub fn file(finder: &Finder, found: &Found, now: Timestamp) -> FileRead {
    let (text, stamp) = match text(finder, found) {
        Ok(text) => text,
        Err(diagnostic) => {
            return FileRead { stocks: Vec::new(), diagnostics: vec![*diagnostic], stamp: None };
        }
    };
    let file: Arc<str> = found.path.as_str().into();
    let (stocks, diagnostics) = match fast(&text, &file, now) {
        Some(stocks) => (stocks, Vec::new()),
        None => careful(text, &file, now),
    };
    FileRead { stocks, diagnostics, stamp }
}

fn whole_file(
    path: &str,
    text: String,
    rule: Rule,
    message: String,
    help: Option<&str>,
) -> Box<Diagnostic> {
    Box::new(Diagnostic {
        severity: rule.about().severity,
        rule: rule.id(),
        message,
        source: Arc::new(Source { path: path.to_owned(), text }),
        span: None,
        labels: Vec::new(),
        path: String::new(),
        help: help.map(str::to_owned),
    })
}

fn text(finder: &Finder, found: &Found) -> Result<(String, Option<Stamp>)> {
    let problem = |rule, message, help| whole_file(&found.path, String::new(), rule, message, help);
    let unreadable = |error: std::io::Error| {
        problem(Rule::UnreadableFile, format!("this cannot be read: {error}"), None)
    };
    if let Some(trouble) = finder.trouble(found) {
        let help = "rename or remove it, or change `stocks` in couponctl.yaml";
        return Err(problem(Rule::UnreadableFile, trouble, Some(help)));
    }
    let file = std::fs::File::open(&found.file).map_err(unreadable)?;
    // Before its text is read: what is written meanwhile shows in the next look.
    let seen = file.metadata().map_err(unreadable)?;
    let size = seen.len();
    let too_large = || {
        let message = format!("the file has more than {} MiB", MOST_BYTES >> 20);
        problem(Rule::FileTooLarge, message, Some("split it, or move it out of `stocks`"))
    };
    if size > MOST_BYTES {
        return Err(too_large());
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default() + 1];
    let read = (&file).read(&mut bytes).map_err(unreadable)?;
    bytes.truncate(read);
    // As many as there are said to be is all, without another call to be told so.
    if read as u64 != size {
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(too_large());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let good = &error.as_bytes()[..at];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("the file is not UTF-8 text: byte {} (line {line}) is wrong", at + 1);
        problem(Rule::NotUtf8, message, Some("save it as UTF-8"))
    })?;
    Ok((text, Stamp::of(&seen)))
}

/// Bytes that [`is_plain`] has to look at more closely; most of a file are others.
const NOTABLE: [bool; 256] = {
    let mut notable = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        notable[byte] = true;
        byte += 1;
    }
    let others = b"&*!%\x7f<?_0-+eE#\xc2\xe2\xef[{]}\"'";
    let mut index = 0;
    while index < others.len() {
        notable[others[index] as usize] = true;
        index += 1;
    }
    notable
};

/// Whether both readers surely say the same of a text, so that the fast one may read it: no anchors,
/// aliases, tags, merges or directives, no numbers in forms that programs disagree about.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or(b' ');
    let mut brackets = Brackets::default();
    let mut documents = usize::from(text.starts_with(DOCUMENT_START));
    for (index, byte) in bytes.iter().enumerate() {
        if !NOTABLE[usize::from(*byte)] {
            continue;
        }
        let next = at(index + 1);
        let strange = match byte {
            0x7f => true,
            b'&' | b'*' | b'!' | b'%' => !goes_on(bytes, index),
            b'\r' => next != b'\n',
            0..=0x09 | 0x0b..=0x1f => true,
            b'<' => next == b'<',
            b'?' => next.is_ascii_whitespace(),
            b'_' => !next.is_ascii_alphabetic() && index > 0 && at(index - 1).is_ascii_digit(),
            b'0' => {
                matches!(next, b'x' | b'o' | b'b' | b'X' | b'O' | b'B')
                    || next.is_ascii_digit() && begins_value(bytes, index)
            }
            b'-' | b'+' => next == b'0' && begins_value(bytes, index),
            b'e' | b'E' => {
                matches!(next, b'0'..=b'9' | b'+' | b'-')
                    && index > 0
                    && matches!(at(index - 1), b'0'..=b'9' | b'.')
            }
            // A comment without white space before it.
            b'#' => {
                index > 0
                    && matches!(at(index - 1), 0x21..=0x7e)
                    && !at(index - 1).is_ascii_alphanumeric()
            }
            // Line breaks of YAML 1.1 alone (U+0085, U+2028, U+2029) and byte order marks.
            0xc2 => next == 0x85,
            0xe2 => next == 0x80 && matches!(at(index + 2), 0xa8 | 0xa9),
            0xef => next == 0xbb,
            b'\n' => {
                documents += usize::from(bytes[index + 1..].starts_with(DOCUMENT_START.as_bytes()));
                brackets.leave_open(*byte)
            }
            b'[' | b'{' | b']' | b'}' | b'"' | b'\'' => brackets.leave_open(*byte),
            _ => false,
        };
        if strange {
            return false;
        }
    }
    !brackets.leave_open(b'\n') && documents <= MOST_DOCUMENTS
}

/// The brackets of a line. Where a list or mapping in brackets goes on behind its line, the readers
/// disagree about indentation; every line must close what it opens, read with and without regard to
/// quotes.
#[derive(Debug, Default)]
struct Brackets {
    quote: Option<u8>,
    open: i32,
    open_outside_quotes: i32,
}

impl Brackets {
    /// Takes a bracket, a quote or a line's end; says whether a line leaves a bracket open, or has
    /// too many open.
    fn leave_open(&mut self, byte: u8) -> bool {
        let step = match byte {
            b'[' | b'{' => 1,
            b']' | b'}' => -1,
            b'\n' => {
                let Self { open, open_outside_quotes, .. } = std::mem::take(self);
                return open != 0 || open_outside_quotes != 0;
            }
            quote => {
                self.quote = match self.quote {
                    None => Some(quote),
                    Some(open) if open == quote => None,
                    other => other,
                };
                0
            }
        };
        self.open += step;
        if self.quote.is_none() {
            self.open_outside_quotes += step;
        }
        self.open > MOST_BRACKETS
    }
}

/// Whether a text or a comment that began earlier on the line goes on here, as in `30 % off`: what is
/// an anchor, an alias, a tag or a directive stands where a value may begin.
fn goes_on(bytes: &[u8], index: usize) -> bool {
    let before = bytes[..index].iter().rev().find(|byte| **byte != b' ');
    before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)
}

/// Whether a value may begin here.
fn begins_value(bytes: &[u8], index: usize) -> bool {
    let before = |back: usize| index.checked_sub(back).and_then(|at| bytes.get(at));
    match before(1) {
        None | Some(b' ' | b'[' | b'{' | b',' | b'\n' | b'\r') => true,
        Some(b':') => matches!(before(2), Some(b'"' | b'\'')),
        _ => false,
    }
}

fn document_starts(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with(DOCUMENT_START)).count()
}

/// The stocks of a text, when it is plain and nothing at all is to be said about it.
pub fn fast(text: &str, file: &Arc<str>, now: Timestamp) -> Option<Vec<DesiredStock>> {
    if !is_plain(text) {
        return None;
    }
    let mut stocks = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let mut unknown = false;
        let read: Option<StockDocument> =
            serde_ignored::deserialize(document, |_| unknown = true).ok()?;
        // An empty document is one of nulls only: the careful reader tells it from a wrong one.
        let document = read.filter(|_| !unknown)?;
        // To this reader a null is an empty list or mapping; to the careful one it is an error.
        if document.stock.has_empty_parts() || !validate::check(&document, now).is_empty() {
            return None;
        }
        stocks.push(desired(document, file, stocks.len())?);
    }
    Some(stocks)
}

fn desired(document: StockDocument, file: &Arc<str>, index: usize) -> Option<DesiredStock> {
    let content_sha256 = ContentSha256::of(&document.product_coupon_id, &document.stock);
    Some(DesiredStock {
        name: StockName::parse(&document.name)?,
        file: Arc::clone(file),
        document: index,
        product_coupon_id: document.product_coupon_id.0,
        generation: document.generation,
        stock: Arc::new(document.stock),
        content_sha256,
    })
}

/// The stocks of a text and everything that is wrong with it, with places.
pub fn careful(
    text: String,
    file: &Arc<str>,
    now: Timestamp,
) -> (Vec<DesiredStock>, Vec<Diagnostic>) {
    // Whatever is wrong with it would be shown.
    if holds_private_key(&text) {
        let message = "this file holds a private key, so nothing of it is shown".to_owned();
        let help = "keep keys outside of the folders of stock files, and outside git";
        let problem = whole_file(file, String::new(), Rule::UnreadableFile, message, Some(help));
        return (Vec::new(), vec![*problem]);
    }
    if document_starts(&text) > MOST_DOCUMENTS {
        let message = format!("the file has more than {MOST_DOCUMENTS} documents");
        let help = "split it into several files";
        let problem = whole_file(file, String::new(), Rule::TooManyDocuments, message, Some(help));
        return (Vec::new(), vec![*problem]);
    }
    let documents = tree::read(&text);
    let source = Arc::new(Source { path: file.to_string(), text });
    let mut stocks = Vec::new();
    let mut diagnostics: Vec<_> =
        documents.flaws.into_iter().map(|flaw| of_flaw(flaw, &source)).collect();
    for (index, root) in documents.roots.iter().enumerate() {
        let mut checked = structure::check(root);
        let sound = checked.filled_in.is_empty();
        // The tree has the shape of a document now, so that this fails for nothing that was written.
        if let Ok(document) = serde_json::from_value::<StockDocument>(checked.json) {
            let rules = validate::check(&document, now).into_iter().filter(|problem| {
                let quoted = problem.rule == Rule::AmbiguousText && is_quoted(root, problem);
                !quoted && !is_about_filled_in(problem, &checked.filled_in)
            });
            checked.problems.extend(rules);
            if sound {
                stocks.extend(desired(document, file, index));
            }
        }
        diagnostics.extend(checked.problems.into_iter().map(|p| of_problem(p, root, &source)));
    }
    (stocks, diagnostics)
}

/// Whether a problem is about a value that was only filled in, or rests on one. What is missing from a
/// mapping (then the path is the mapping's) is about what is written beside it.
fn is_about_filled_in(problem: &Problem, filled_in: &[validate::Path]) -> bool {
    let related = problem.related.iter().map(|(path, _)| path);
    related
        .chain([&problem.path])
        .any(|path| filled_in.iter().any(|filled| path.0.starts_with(&filled.0)))
}

fn is_quoted(root: &Node, problem: &Problem) -> bool {
    let mut node = root;
    for segment in &problem.path.0 {
        let next = match segment {
            validate::Segment::Key(key) => node.get(key),
            validate::Segment::Index(_) => None,
        };
        match next {
            Some(next) => node = next,
            None => return false,
        }
    }
    matches!(node.value, tree::Value::Text { plain: false, .. })
}

fn of_flaw(flaw: Flaw, source: &Arc<Source>) -> Diagnostic {
    let label = |(span, text)| Label { source: Arc::clone(source), span, text };
    Diagnostic {
        severity: flaw.rule.about().severity,
        rule: flaw.rule.id(),
        message: flaw.message,
        source: Arc::clone(source),
        span: Some(flaw.span),
        labels: flaw.label.map(label).into_iter().collect(),
        path: String::new(),
        help: flaw.help,
    }
}

fn of_problem(problem: Problem, root: &Node, source: &Arc<Source>) -> Diagnostic {
    let labels = problem.related.iter().map(|(path, text)| Label {
        source: Arc::clone(source),
        span: root.locate(path, false),
        text: text.clone(),
    });
    Diagnostic {
        severity: problem.rule.about().severity,
        rule: problem.rule.id(),
        source: Arc::clone(source),
        span: Some(root.locate(&problem.path, problem.at_key)),
        labels: labels.collect(),
        path: tree::shorten(&problem.path.to_string()),
        message: problem.message,
        help: problem.help,
    }
}

/// A source and the documents in it.
type Place = (Arc<Source>, Vec<std::rc::Rc<Node>>);

/// Finds places in files again, each file read once.
pub struct Places {
    root: PathBuf,
    files: HashMap<Arc<str>, Place>,
}

impl Places {
    /// Places in the files of a workspace.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), files: HashMap::new() }
    }

    /// Where a key of a stock's document stands; no place when the file has changed since.
    pub fn of(&mut self, stock: &DesiredStock, key: &str) -> (Arc<Source>, Option<Span>) {
        let (source, roots) = self.files.entry(Arc::clone(&stock.file)).or_insert_with(|| {
            let text = std::fs::read_to_string(self.root.join(&*stock.file)).unwrap_or_default();
            let roots = tree::read(&text).roots;
            (Arc::new(Source { path: stock.file.to_string(), text }), roots)
        });
        let root = roots.get(stock.document);
        (Arc::clone(source), root.map(|root| root.locate(&key.into(), false)))
    }
}
