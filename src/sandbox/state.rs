//! The sandbox's state file: one line of JSON for each thing that happened, written before the answer
//! goes out, so that a killed sandbox forgets nothing that it answered. `book.rs` gives it meaning.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SandboxError;
use crate::wechatpay::entity::StockEntity;

const VERSION: u64 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    couponctl_sandbox_state: u64,
    brand_id: String,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    /// A stock was made.
    Made { out_request_no: String, fingerprint: String, stock: Box<StockEntity> },
    /// A stock was deactivated.
    Deactivated {
        out_request_no: String,
        fingerprint: String,
        stock_id: String,
        time: String,
        reason: String,
    },
}

/// An open state file, held by this process alone until it is dropped.
#[derive(Debug)]
pub(super) struct StateFile {
    file: File,
    /// Length up to the end of the last whole line.
    length: u64,
}

impl StateFile {
    /// Opens or makes the file, and reads what happened so far. A last line without its end was cut
    /// off while it was written, so nobody was told of it: it is dropped.
    pub fn open(path: &Path, brand_id: &str) -> Result<(Self, Vec<Event>), SandboxError> {
        let failed = |error| SandboxError::file(path, error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = File::options();
        options.read(true).append(true).create(true);
        let mut file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(SandboxError::InUse { file: path.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            // Only what this program may have left behind is cut away, never another kind of file.
            if whole == 0 && !header_line(brand_id).as_bytes().starts_with(&bytes) {
                return Err(garbage(path, 1, "it is not the state of a sandbox"));
            }
            bytes.truncate(whole);
        }
        let events = read(&bytes, path, brand_id)?;
        let mut state = Self { file, length: whole as u64 };
        state.file.set_len(state.length).map_err(failed)?;
        state.file.seek(io::SeekFrom::End(0)).map_err(failed)?;
        if whole == 0 {
            state.append_line(&header_line(brand_id)).map_err(failed)?;
        }
        Ok((state, events))
    }

    /// Writes an event down. After an error the file is as before.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_string(event)?;
        line.push('\n');
        self.append_line(&line)
    }

    fn append_line(&mut self, line: &str) -> io::Result<()> {
        match self.file.write_all(line.as_bytes()) {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.file.set_len(self.length)?;
                Err(error)
            }
        }
    }
}

fn header_line(brand_id: &str) -> String {
    let brand_id = serde_json::Value::from(brand_id);
    format!("{{\"couponctl_sandbox_state\":{VERSION},\"brand_id\":{brand_id}}}\n")
}

fn read(bytes: &[u8], path: &Path, brand_id: &str) -> Result<Vec<Event>, SandboxError> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').zip(1..);
    let Some((first, _)) = lines.next() else {
        return Ok(Vec::new());
    };
    let header: Header = serde_json::from_slice(first)
        .map_err(|_| garbage(path, 1, "it is not the state of a sandbox"))?;
    if header.couponctl_sandbox_state != VERSION {
        let found = header.couponctl_sandbox_state;
        let reason = format!("it is of version {found}, and this program reads version {VERSION}");
        return Err(garbage(path, 1, &reason));
    }
    if header.brand_id != brand_id {
        let reason = format!("it is of brand {}, not of brand {brand_id}", header.brand_id);
        return Err(garbage(path, 1, &reason));
    }
    lines
        .map(|(line, number)| {
            serde_json::from_slice(line).map_err(|error| garbage(path, number, &error.to_string()))
        })
        .collect()
}

/// The error for a state that cannot be used.
pub(super) fn garbage(path: &Path, line: usize, reason: &str) -> SandboxError {
    SandboxError::State { file: PathBuf::from(path), line, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> Event {
        Event::Deactivated {
            out_request_no: format!("request-{number}"),
            fingerprint: "f".into(),
            stock_id: "1".into(),
            time: "2026-11-23T00:00+08:00".into(),
            reason: "原因".into(),
        }
    }

    fn open(path: &Path) -> Result<(StateFile, Vec<Event>), SandboxError> {
        StateFile::open(path, "120344")
    }

    #[test]
    fn a_state_cut_off_at_any_byte_keeps_its_whole_lines_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state.jsonl");
        let (mut state, events) = open(&path).unwrap();
        assert_eq!(events, []);
        for number in 0..3 {
            state.append(&event(number)).unwrap();
        }
        drop(state);
        let whole = fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let lines = whole[..length].split(|byte| *byte == b'\n').count() - 1;
            let (mut state, events) = open(&path).unwrap();
            assert_eq!(events, (0..lines.saturating_sub(1)).map(event).collect::<Vec<_>>());
            state.append(&event(9)).unwrap();
            drop(state);
            assert_eq!(open(&path).unwrap().1.last(), Some(&event(9)), "cut at {length}");
        }
    }

    #[test]
    fn a_file_that_is_not_a_state_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        let newer = header_line("120344").replace(":1", ":2");
        let damaged = header_line("120344") + "rubbish\n";
        for (text, says) in [
            ("my notes", "line 1: it is not the state of a sandbox"),
            ("my notes\n", "line 1: it is not the state of a sandbox"),
            (&newer, "line 1: it is of version 2"),
            (&header_line("7"), "line 1: it is of brand 7, not of brand 120344"),
            (&damaged, "line 2: "),
        ] {
            fs::write(&path, text).unwrap();
            let error = open(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(error.contains("notes.txt") && error.contains("delete"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_state_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.jsonl");
        let held = open(&path).unwrap();
        assert!(matches!(open(&path), Err(SandboxError::InUse { .. })));
        drop(held);
        open(&path).unwrap();
    }
}
