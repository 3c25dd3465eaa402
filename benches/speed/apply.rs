//! What an apply takes of the processor for each stock that it makes, beside what signing its request
//! and verifying the answer take: `cargo bench --bench apply`. The server runs in another process,
//! whose time does not count. On Linux, which says what the processes took that have ended.

#[allow(dead_code, reason = "no lock is needed here, and nothing wrong")]
mod corpus;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rsa::PrivateKey;
use rsa::pkcs1v15::{SigningKey, VerifyingKey};
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::signature::{RandomizedSigner as _, Verifier as _};
use sha2::Sha256;

const PROGRAM: &str = env!("CARGO_BIN_EXE_couponctl");
const ROUNDS: usize = 5;
const STOCKS: u32 = 1000;

fn main() -> anyhow::Result<()> {
    let mut rounds = Vec::new();
    println!("processor time a stock: apply less plan | sign + verify | ratio");
    for _ in 0..ROUNDS {
        let (made, floor) = round()?;
        let ratio = made.as_secs_f64() / floor.as_secs_f64();
        println!("{made:>9.2?} | {floor:.2?} | {ratio:.2}");
        rounds.push(ratio);
    }
    rounds.sort_by(f64::total_cmp);
    println!("median ratio {:.2}, {STOCKS} stocks a round", rounds[ROUNDS / 2]);
    Ok(())
}

/// Processor time of a stock that is made, and of the signatures alone, with the same key.
fn round() -> anyhow::Result<(Duration, Duration)> {
    let folder = tempfile::TempDir::new()?;
    let root = folder.path().join("workspace");
    corpus::workspace(&root, usize::try_from(STOCKS)?)?;
    let settings = "brand_id: \"120344\"\napi: { requests_per_second: 1000 }\n";
    std::fs::write(root.join("couponctl.yaml"), settings)?;
    let (mut server, environment) = server(&folder.path().join("state.jsonl"))?;
    let run = |arguments: &[&str]| -> anyhow::Result<Duration> {
        let before = taken_by_children()?;
        let mut command = Command::new(PROGRAM);
        command.arg("-C").arg(&root).args(arguments).envs(environment.iter().cloned());
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        anyhow::ensure!(status.success(), "{arguments:?}: {status}");
        Ok(taken_by_children()?.saturating_sub(before))
    };
    let plan = run(&["plan", "--no-cache"])?;
    let apply = run(&["apply", "--auto-approve"])?;
    let key = environment.iter().find(|(name, _)| name == "COUPONCTL_PRIVATE_KEY_FILE");
    let floor = signatures(Path::new(&key.context("no key")?.1))?;
    server.kill()?;
    server.wait()?;
    Ok((apply.saturating_sub(plan) / STOCKS, floor))
}

fn server(state: &Path) -> anyhow::Result<(Child, Vec<(String, String)>)> {
    let mut command = Command::new(PROGRAM);
    command.args(["sandbox", "--listen", "127.0.0.1:0", "--requests-per-second", "100000"]);
    command.arg("--state").arg(state).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = command.spawn()?;
    let lines = BufReader::new(server.stdout.take().context("no output")?).lines();
    let mut environment = Vec::new();
    for line in lines.take(7) {
        let line = line?;
        let (name, value) = line
            .strip_prefix("export ")
            .and_then(|line| line.split_once('='))
            .context(line.clone())?;
        environment.push((name.to_owned(), value.to_owned()));
    }
    Ok((server, environment))
}

/// What one signature and its check take.
fn signatures(key: &Path) -> anyhow::Result<Duration> {
    let key = PrivateKey::from_pkcs8_pem(&std::fs::read_to_string(key)?)?;
    let (verifying, signing) =
        (VerifyingKey::<Sha256>::new(key.to_public_key()), SigningKey::<Sha256>::new(key));
    let begin = Instant::now();
    for _ in 0..STOCKS {
        let signature = signing.sign_with_rng(&mut rand::rng(), b"a request");
        verifying.verify(b"a request", &signature)?;
    }
    Ok(begin.elapsed() / STOCKS)
}

/// Processor time of the children that have ended: fields 16 and 17 of `/proc/self/stat` (proc(5)).
fn taken_by_children() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat").context("this needs Linux")?;
    // The program's name is in brackets, and may hold anything.
    let (_, fields) = text.rsplit_once(')').context("no name")?;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(13).take(2).map(str::parse).collect::<Result<_, _>>()?;
    let millis = 1000 * ticks.iter().sum::<u64>() / rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(millis))
}
