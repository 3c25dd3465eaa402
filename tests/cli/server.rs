//! `couponctl sandbox` in a process of its own, and servers that misbehave in ways of their own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A sandbox in another process. It ends when it is dropped.
pub struct Server {
    child: Child,
    folder: TempDir,
    pub environment: Vec<(String, String)>,
}

impl Server {
    /// Starts a sandbox, with faults and other flags.
    pub fn start(flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let (child, environment) = spawn(folder.path(), flags);
        Self { child, folder, environment }
    }

    /// Ends it and starts another one with the same state.
    pub fn restart(&mut self, flags: &[&str]) {
        self.stop();
        (self.child, self.environment) = spawn(self.folder.path(), flags);
    }

    /// Ends it and starts another one with this state.
    pub fn restart_with(&mut self, state: &str, flags: &[&str]) {
        self.stop();
        std::fs::write(self.state_file(), state).unwrap();
        (self.child, self.environment) = spawn(self.folder.path(), flags);
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn variable(&self, name: &str) -> &str {
        &self.environment.iter().find(|(known, _)| known == name).unwrap().1
    }

    pub fn state_file(&self) -> PathBuf {
        self.folder.path().join("state.jsonl")
    }

    /// The remarks of the stocks that it has, by id: one entry a stock.
    pub fn stocks(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.state_file()).unwrap();
        let mut stocks = BTreeMap::new();
        for line in text.lines().skip(1) {
            let line: Value = serde_json::from_str(line).unwrap();
            if let Some(made) = line.get("made") {
                let stock = &made["stock"];
                let id = stock["stock_id"].as_str().unwrap().to_owned();
                let remark = stock["remark"].as_str().unwrap_or_default();
                stocks.insert(id, remark.to_owned());
            }
        }
        stocks
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(folder: &Path, flags: &[&str]) -> (Child, Vec<(String, String)>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_couponctl"))
        .args(["sandbox", "--listen", "127.0.0.1:0", "--brand-id", "120344", "--state"])
        .arg(folder.join("state.jsonl"))
        .args(flags)
        .env_remove("COUPONCTL_CRASH_AT")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let environment = (0..7)
        .map(|_| {
            let line = lines.next().unwrap().unwrap();
            let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect();
    (child, environment)
}

/// A server that answers every request with the same bytes. Its address.
pub fn that_answers(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut buffer = [0; 8192];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}
