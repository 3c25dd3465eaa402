//! What couponctl takes for its work, and beside it the floor that it is held against. Programs are
//! run as a user runs them; nothing here asserts a time. `cargo bench` prints the table, and
//! `cargo bench -- warm` the part of that name.

mod corpus;
mod floors;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use divan::Bencher;
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// The program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_couponctl");
/// Files that were written longer ago than this are believed to be what they look like.
const SETTLED: Duration = Duration::from_millis(2100);

/// A workspace, made once.
struct Place(TempDir);

impl Place {
    fn new(stocks: usize, locked: bool) -> Self {
        let folder = TempDir::new().expect("a folder");
        corpus::workspace(folder.path(), stocks).expect("a workspace");
        if locked {
            corpus::lock(folder.path()).expect("a lock");
            git(folder.path(), &["init", "-q"]);
            git(folder.path(), &["add", "-A"]);
            let person = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"];
            git(folder.path(), &[&person[..], &["commit", "-qm", "all"]].concat());
            std::thread::sleep(SETTLED);
        }
        Self(folder)
    }

    fn root(&self) -> &Path {
        self.0.path()
    }
}

fn quiet(command: &mut Command) {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}");
}

fn git(root: &Path, arguments: &[&str]) {
    quiet(Command::new("git").current_dir(root).args(arguments));
}

fn couponctl(root: &Path, arguments: &[&str]) {
    quiet(Command::new(PROGRAM).arg("-C").arg(root).args(arguments));
}

/// Workspaces by size, those with a lock apart; they last until the benchmarks end.
fn place(stocks: usize, locked: bool) -> PathBuf {
    static PLACES: LazyLock<Mutex<Vec<(usize, bool, Place)>>> = LazyLock::new(Mutex::default);
    let mut places = PLACES.lock().expect("no panic before");
    let is_it = |(size, lock, _): &&(usize, bool, Place)| *size == stocks && *lock == locked;
    if let Some((.., place)) = places.iter().find(is_it) {
        return place.root().to_owned();
    }
    let place = Place::new(stocks, locked);
    let root = place.root().to_owned();
    places.push((stocks, locked, place));
    root
}

const SIZES: [usize; 2] = [1_000, 10_000];

/// A plan of stocks that are all new, and nothing known of them.
#[divan::bench_group(sample_count = 15, sample_size = 1)]
mod cold {
    use super::{Bencher, SIZES, couponctl, floors, place};

    #[divan::bench(args = SIZES)]
    fn plan(bencher: Bencher, stocks: usize) {
        let root = place(stocks, false);
        bencher.bench(|| couponctl(&root, &["plan", "--format", "json", "--no-cache"]));
    }

    #[divan::bench(args = SIZES)]
    fn floor_read_and_deserialise(bencher: Bencher, stocks: usize) {
        let files = floors::files(&place(stocks, false), stocks);
        bencher.bench(|| floors::read_and_deserialise(&files));
    }
}

/// A plan where the lock has every stock and nothing changed since the last one.
#[divan::bench_group(sample_count = 25, sample_size = 1)]
mod warm {
    use super::{Bencher, SIZES, couponctl, git, place};

    #[divan::bench(args = SIZES)]
    fn plan(bencher: Bencher, stocks: usize) {
        let root = place(stocks, true);
        couponctl(&root, &["plan"]);
        bencher.bench(|| couponctl(&root, &["plan", "--format", "json"]));
    }

    #[divan::bench(args = SIZES)]
    fn floor_git_status(bencher: Bencher, stocks: usize) {
        let root = place(stocks, true);
        bencher.bench(|| git(&root, &["status"]));
    }
}

/// Ten times as many stocks. It takes a minute to make them: `cargo bench -- growth --ignored`.
#[divan::bench_group(sample_count = 5, sample_size = 1, ignore)]
mod growth {
    use super::{Bencher, couponctl, place};

    const SIZES: [usize; 2] = [10_000, 100_000];

    #[divan::bench(args = SIZES)]
    fn cold(bencher: Bencher, stocks: usize) {
        let root = place(stocks, false);
        bencher.bench(|| couponctl(&root, &["plan", "--format", "json", "--no-cache"]));
    }

    #[divan::bench(args = SIZES)]
    fn warm(bencher: Bencher, stocks: usize) {
        let root = place(stocks, true);
        couponctl(&root, &["plan"]);
        bencher.bench(|| couponctl(&root, &["plan", "--format", "json"]));
    }
}

/// The lock, in memory and back.
#[divan::bench_group(sample_count = 15, sample_size = 1)]
mod lock {
    use super::{Bencher, SIZES, floors, place};
    use couponctl::lockfile::{FILE_NAME, read, write};

    #[divan::bench(args = SIZES)]
    fn read(bencher: Bencher, stocks: usize) {
        let path = place(stocks, true).join(FILE_NAME);
        bencher.bench(|| read::read(&path, "120344").is_ok());
    }

    #[divan::bench(args = SIZES)]
    fn floor_check_json(bencher: Bencher, stocks: usize) {
        let path = place(stocks, true).join(FILE_NAME);
        bencher.bench(|| floors::read_and_check_json(&path));
    }

    #[divan::bench(args = SIZES)]
    fn write(bencher: Bencher, stocks: usize) {
        let path = place(stocks, true).join(FILE_NAME);
        let lock = read::read(&path, "120344").expect("a lock");
        bencher.bench(|| write::to_bytes(&lock));
    }
}

/// Every file with one problem, and none with any.
#[divan::bench_group(sample_count = 7, sample_size = 1)]
mod validate {
    use super::{Bencher, Command, PROGRAM, Path, Place, SIZES, Stdio, corpus, place};

    fn validate(root: &Path) {
        let mut command = Command::new(PROGRAM);
        command.arg("-C").arg(root).arg("validate").stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().is_ok());
    }

    #[divan::bench(args = SIZES)]
    fn one_problem_each(bencher: Bencher, stocks: usize) {
        let spoiled = Place::new(stocks, false);
        corpus::spoil(spoiled.root(), stocks).expect("a workspace");
        bencher.bench(|| validate(spoiled.root()));
    }

    #[divan::bench(args = SIZES)]
    fn floor_no_problem(bencher: Bencher, stocks: usize) {
        let root = place(stocks, false);
        bencher.bench(|| validate(&root));
    }
}

/// From process to process.
#[divan::bench_group(sample_count = 50, sample_size = 1)]
mod start {
    use super::{Command, PROGRAM, quiet};

    #[divan::bench]
    fn version() {
        quiet(Command::new(PROGRAM).arg("--version"));
    }

    #[divan::bench]
    fn floor_git_version() {
        quiet(Command::new("git").arg("--version"));
    }
}

/// From a save to the line with the new plan, where nothing is waited for: with all stocks in the lock
/// but the one that is saved.
#[divan::bench_group(sample_count = 30, sample_size = 1)]
mod watch {
    use super::{Bencher, Command, PROGRAM, SIZES, Stdio, corpus, place};
    use std::io::{BufRead as _, BufReader};

    #[divan::bench(args = SIZES)]
    fn one_save(bencher: Bencher, stocks: usize) {
        let root = place(stocks, true);
        let mut watch = Command::new(PROGRAM);
        watch.arg("-C").arg(&root).args(["watch", "--format", "json", "--debounce", "0"]);
        let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("watch");
        let mut lines = BufReader::new(watch.stdout.take().expect("its output"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("the first plan");
        let (file, mut edit) = (root.join(corpus::path(0)), 0);
        bencher.bench_local(|| {
            edit += 1;
            std::fs::write(&file, corpus::text(0, edit)).expect("a save");
            line.clear();
            lines.read_line(&mut line).expect("the next plan");
        });
        watch.kill().expect("its end");
        watch.wait().expect("its end");
        std::fs::write(&file, corpus::text(0, 0)).expect("as it was");
    }
}

/// What a created stock costs in signatures: the request is signed, the answer verified.
#[divan::bench_group(sample_count = 50)]
mod keys {
    use super::{Bencher, LazyLock};
    use rsa::PrivateKey;
    use rsa::pkcs1v15::{SigningKey, VerifyingKey};
    use rsa::signature::{RandomizedSigner as _, Verifier as _};
    use sha2::Sha256;

    static KEY: LazyLock<PrivateKey> =
        LazyLock::new(|| PrivateKey::new(&mut rand::rng(), 2048).expect("a key"));

    #[divan::bench]
    fn sign(bencher: Bencher) {
        let key = SigningKey::<Sha256>::new(KEY.clone());
        bencher.bench(|| key.sign_with_rng(&mut rand::rng(), b"a request"));
    }

    #[divan::bench]
    fn verify(bencher: Bencher) {
        let key = SigningKey::<Sha256>::new(KEY.clone());
        let signature = key.sign_with_rng(&mut rand::rng(), b"an answer");
        let key = VerifyingKey::<Sha256>::new(KEY.to_public_key());
        bencher.bench(|| key.verify(b"an answer", &signature).is_ok());
    }
}
