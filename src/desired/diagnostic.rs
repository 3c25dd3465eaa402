//! A problem found in a file: what, where, and what to do about it. Plain data; drawing it is
//! `render`'s job.

use std::sync::Arc;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is planned or applied until it is mended.
    Error,
    /// Allowed, but likely not what is wanted.
    Warning,
}

/// A file's path (relative to the workspace, `/` between folders) and, where it could be read as
/// text, its content.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as shown.
    pub path: String,
    /// The text that spans count in.
    pub text: String,
}

/// A stretch of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Byte behind the last.
    pub end: usize,
}

/// A second place that a problem points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The file.
    pub source: Arc<Source>,
    /// The stretch.
    pub span: Span,
    /// What is there.
    pub text: String,
}

/// A problem found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The stable id of the rule, such as `remark-too-long`.
    pub rule: &'static str,
    /// One sentence: what is wrong.
    pub message: String,
    /// The file.
    pub source: Arc<Source>,
    /// The very value; absent when the file as a whole is meant.
    pub span: Option<Span>,
    /// Other places that belong to the problem.
    pub labels: Vec<Label>,
    /// Path of the value in the document, such as `stock.stock_send_rule.max_count`; may be empty.
    pub path: String,
    /// The edit to make.
    pub help: Option<String>,
}
