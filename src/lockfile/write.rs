//! Writes `couponctl.lock`: one line an entry, sorted by name, the same content always the same
//! bytes; on disk by temp file, fsync and rename, so that a reader sees the old lock or the new one.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Entry, Lock, VERSION};
use crate::identity::StockName;

/// The bytes of a lock.
#[must_use]
pub fn to_bytes(lock: &Lock) -> Vec<u8> {
    let mut text = String::with_capacity(64 + lock.stocks.len() * 2048);
    text.push_str(&first_line(&lock.brand_id, &lock.unknown));
    text.push('\n');
    for (index, (name, entry)) in lock.stocks.iter().enumerate() {
        if index > 0 {
            text.push_str(",\n");
        }
        push_line(&mut text, name, entry);
    }
    if !lock.stocks.is_empty() {
        text.push('\n');
    }
    text.push_str(LAST_LINE);
    text.push('\n');
    text.into_bytes()
}

/// The line above the entries, without its line feed.
#[must_use]
pub fn first_line(brand_id: &str, unknown: &BTreeMap<String, Value>) -> String {
    let mut text = format!("{{\"version\":{VERSION}");
    push_field(&mut text, "brand_id", &brand_id.into());
    for (key, value) in unknown {
        push_field(&mut text, key, value);
    }
    text.push_str(",\"stocks\":{");
    text
}

/// The line below the entries, without its line feed.
pub const LAST_LINE: &str = "}}";

/// The line of an entry, without comma and line feed.
#[must_use]
pub fn entry_line(name: &StockName, entry: &Entry) -> String {
    let mut text = String::with_capacity(2048);
    push_line(&mut text, name, entry);
    text
}

fn push_line(text: &mut String, name: &StockName, entry: &Entry) {
    text.push('"');
    text.push_str(name.as_str());
    text.push_str("\":");
    push_entry(text, entry);
}

fn push_field(text: &mut String, key: &str, value: &Value) {
    text.push(',');
    text.push_str(&Value::from(key).to_string());
    text.push(':');
    text.push_str(&value.to_string());
}

fn push_entry(text: &mut String, entry: &Entry) {
    text.push_str("{\"product_coupon_id\":");
    text.push_str(&Value::from(entry.product_coupon_id.as_str()).to_string());
    push_field(text, "stock_id", &entry.stock_id.as_str().into());
    push_field(text, "out_request_no", &entry.out_request_no.as_str().into());
    push_field(text, "generation", &entry.generation.into());
    push_field(text, "content_sha256", &entry.content_sha256.as_str().into());
    push_field(text, "created_at", &entry.created_at.as_str().into());
    if let Some(name) = &entry.requested_as {
        push_field(text, "requested_as", &name.as_str().into());
    }
    if !entry.superseded.is_empty() {
        let list = entry.superseded.iter().map(|old| {
            let mut fields = serde_json::Map::new();
            fields.insert("stock_id".into(), old.stock_id.as_str().into());
            fields.insert("out_request_no".into(), old.out_request_no.as_str().into());
            fields.insert("content_sha256".into(), old.content_sha256.as_str().into());
            fields.extend(old.more.clone());
            Value::Object(fields)
        });
        push_field(text, "superseded", &list.collect());
    }
    for (key, value) in &entry.unknown {
        push_field(text, key, value);
    }
    text.push_str(",\"stock\":");
    push_compact(text, entry.stock.get());
    text.push('}');
}

/// JSON text without the white space between its tokens.
#[must_use]
pub fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    push_compact(&mut text, json);
    text
}

/// Adds JSON text without the white space that a formatter may have put between its tokens.
fn push_compact(text: &mut String, json: &str) {
    let (mut in_string, mut escaped) = (false, false);
    // What is kept and not yet copied begins here.
    let mut kept = 0;
    for (index, byte) in json.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if byte == b'"' {
            in_string = true;
        } else if byte.is_ascii_whitespace() {
            text.push_str(&json[kept..index]);
            kept = index + 1;
        }
    }
    text.push_str(&json[kept..]);
}

/// Writes a lock durably: a reader, or a machine that loses power, sees the old one or the new one.
///
/// # Errors
/// When the file system refuses; the old file is then untouched.
pub fn write(path: &Path, lock: &Lock) -> io::Result<()> {
    replace_file(path, &to_bytes(lock))
}

/// Puts bytes in a file's place, durably. A link is followed, and the old file's mode is kept.
///
/// # Errors
/// When the file system refuses; the old file is then untouched.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = resolve(path)?;
    let folder = folder_of(&path);
    let mut file = tempfile::Builder::new().prefix(".couponctl-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(match path.metadata() {
        Ok(old) => old.permissions(),
        Err(_) => default_permissions(&file.as_file().metadata()?),
    })?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    sync_folder(folder)
}

/// Makes a new or removed name in a folder durable.
///
/// # Errors
/// When the file system refuses.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The folder that a file is in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Where a path leads when it is a link, the path itself otherwise.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Ok(real) => Ok(real),
        // A link that leads nowhere is not for us to replace.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() =>
        {
            Ok(path.to_owned())
        }
        Err(error) => Err(error),
    }
}

/// What a new lock's mode should be: temp files are private, a file in git is not.
fn default_permissions(temporary: &Metadata) -> std::fs::Permissions {
    let mut permissions = temporary.permissions();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        permissions.set_mode(0o644);
    }
    #[cfg(not(unix))]
    permissions.set_readonly(false);
    permissions
}
