//! A workspace in a temporary folder, and the program run in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A workspace that goes when it is dropped.
pub struct Workspace {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// The run, which must have ended with this status.
    #[track_caller]
    pub fn ended(self, status: i32) -> Self {
        assert_eq!(self.status, status, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// The last line of standard output.
    pub fn last_line(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }
}

impl Workspace {
    /// A workspace with settings and no stocks.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let workspace = Self { folder, environment: Vec::new() };
        workspace.write("couponctl.yaml", "brand_id: \"120344\"\n");
        workspace
    }

    /// A workspace with a stock of each name.
    pub fn with(names: &[&str]) -> Self {
        let workspace = Self::new();
        for name in names {
            workspace.stock(name, &Stock::default());
        }
        workspace
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Writes the file of a stock.
    pub fn stock(&self, name: &str, stock: &Stock) {
        self.write(&format!("stocks/{name}.yaml"), stock.yaml(name));
    }

    /// Sets what the program finds in its environment.
    pub fn environment(&mut self, environment: &[(String, String)]) {
        self.environment = environment.to_vec();
    }

    /// A command in this workspace, with no settings but its own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_couponctl"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COUPONCTL_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .envs(self.environment.iter().cloned())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        run(self.command(arguments))
    }

    /// Applies without a question.
    pub fn apply(&self, more: &[&str]) -> Run {
        self.run(&[&["apply", "--auto-approve"], more].concat())
    }

    /// Stock ids by name, from a lock.
    pub fn locked(&self, lock: &str) -> BTreeMap<String, String> {
        locked(&self.read(lock))
    }
}

/// Stock ids by name.
pub fn locked(text: &str) -> BTreeMap<String, String> {
    let lock: Value = serde_json::from_str(text).unwrap();
    let stocks = lock["stocks"].as_object().unwrap();
    stocks
        .iter()
        .map(|(name, entry)| (name.clone(), entry["stock_id"].as_str().unwrap().to_owned()))
        .collect()
}

/// Runs a command to its end.
pub fn run(mut command: Command) -> Run {
    let output = command.output().unwrap();
    Run {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A stock in one line each of what tests change.
#[derive(Clone)]
pub struct Stock {
    pub coupon: &'static str,
    pub generation: u32,
    pub remark: String,
    pub max_count: u64,
    pub end: &'static str,
}

impl Default for Stock {
    fn default() -> Self {
        Self {
            coupon: "200000001",
            generation: 1,
            remark: String::new(),
            max_count: 1000,
            end: "2099-12-31T23:59:59+08:00",
        }
    }
}

impl Stock {
    pub fn yaml(&self, name: &str) -> String {
        // The name as remark tells stocks apart, so that no two are alike by accident.
        let remark = if self.remark.is_empty() { name } else { &self.remark };
        let Self { coupon, generation, max_count, end, .. } = self;
        format!(
            "name: {name}\nproduct_coupon_id: \"{coupon}\"\ngeneration: {generation}\nstock:\n  remark: \"{remark}\"\n  coupon_code_mode: WECHATPAY\n  stock_send_rule: {{ max_count: {max_count}, max_count_per_user: 1 }}\n  single_usage_rule:\n    coupon_available_period:\n      available_begin_time: \"2099-01-01T00:00:00+08:00\"\n      available_end_time: \"{end}\"\n    normal_coupon: {{ threshold: 10000, discount_amount: 1000 }}\n  usage_rule_display_info:\n    coupon_usage_method_list: [OFFLINE]\n    usage_description: 全场可用\n  coupon_display_info: {{ code_display_mode: QRCODE }}\n  notify_config: {{ notify_appid: wx4fd12345678 }}\n  store_scope: NONE\n"
        )
    }
}

/// Copies a folder with all that git would keep of it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_name() == ".couponctl" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs git in a workspace, with no settings but the repository's own, and gives its status and what
/// it printed, both streams in one.
pub fn git(workspace: &Workspace, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GIT_")) {
        command.env_remove(name);
    }
    let run = run({
        command
            .args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
            .args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(workspace.path(""))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .stdin(Stdio::null());
        command
    });
    (run.status, run.out + &run.err)
}
