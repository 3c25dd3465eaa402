//! The rules of the API on a stock document, and of the workspace across documents.
