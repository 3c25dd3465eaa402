use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::certificate::{self, Key, LATER};
use crate::server::{self, Server};
use crate::workspace::{Run, Workspace};

const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// A workspace with one stock, against a sandbox.
struct Case {
    workspace: Workspace,
    server: Server,
}

impl Case {
    fn new(flags: &[&str]) -> Self {
        Self { workspace: Workspace::with(&["a"]), server: Server::start(flags) }
    }

    /// A case whose serial number a certificate can hold in 20 bytes (RFC 5280, section 4.1.2.2); the
    /// sandbox makes its from its key.
    fn with_serial_for_certificates(flags: &[&str]) -> Self {
        let fits =
            |case: &Self| matches!(u8::from_str_radix(&case.serial_no()[..2], 16), Ok(1..=0x7f));
        std::iter::repeat_with(|| Self::new(flags)).find(fits).unwrap()
    }

    /// Runs doctor with the sandbox's settings but for these.
    fn run(&mut self, other: &[(&str, &str)], arguments: &[&str]) -> Run {
        self.environment(other);
        doctor(&self.workspace, arguments)
    }

    fn environment(&mut self, other: &[(&str, &str)]) {
        let mut environment = self.server.environment.clone();
        for (name, value) in other {
            environment.retain(|(known, _)| known != name);
            environment.push(((*name).to_owned(), (*value).to_owned()));
        }
        self.workspace.environment(&environment);
    }

    /// What doctor prints, with what differs from run to run replaced by words.
    fn shown(&self, run: &Run) -> String {
        let mut text = run.out.clone();
        for (name, word) in [
            ("COUPONCTL_PRIVATE_KEY_FILE", "[PRIVATE KEY FILE]"),
            ("COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE", "[PUBLIC KEY FILE]"),
            ("COUPONCTL_CERTIFICATE_SERIAL_NO", "[SERIAL]"),
            ("COUPONCTL_WECHATPAY_PUBLIC_KEY_ID", "[KEY ID]"),
        ] {
            text = text.replace(self.server.variable(name), word);
        }
        let beside = self.server.variable("COUPONCTL_PRIVATE_KEY_FILE");
        let beside = beside.trim_end_matches("apiclient_key.pem");
        shown(&self.workspace, &text.replace(beside, "[KEYS]/"))
    }

    /// Puts a certificate beside the private key.
    fn put_certificate(&self, pem: &str) {
        let key = self.server.variable("COUPONCTL_PRIVATE_KEY_FILE");
        std::fs::write(key.replace("apiclient_key.pem", "apiclient_cert.pem"), pem).unwrap();
    }

    /// The key that the sandbox knows.
    fn key(&self) -> Key {
        let file = self.server.variable("COUPONCTL_PRIVATE_KEY_FILE");
        Key::from_pem(&std::fs::read_to_string(file).unwrap())
    }

    fn serial_no(&self) -> String {
        self.server.variable("COUPONCTL_CERTIFICATE_SERIAL_NO").to_owned()
    }
}

fn doctor(workspace: &Workspace, arguments: &[&str]) -> Run {
    let mut command = workspace.command(&[&["doctor"], arguments].concat());
    trusting(without_proxies(&mut command), workspace);
    crate::workspace::run(command)
}

fn without_proxies(command: &mut Command) -> &mut Command {
    for name in PROXIES {
        command.env_remove(name);
    }
    command
}

/// Some CA certificate to trust, for machines that have none.
fn trusting<'a>(command: &'a mut Command, workspace: &Workspace) -> &'a mut Command {
    let file = workspace.path("ca.pem");
    if !file.exists() {
        std::fs::write(&file, Key::new().certificate_pem("0C", LATER)).unwrap();
    }
    command.env("SSL_CERT_FILE", file)
}

fn shown(workspace: &Workspace, text: &str) -> String {
    let folder = workspace.path("");
    text.replace(&folder.display().to_string(), "[WORKSPACE]/")
}

/// The lines of what is no problem left out.
fn trouble(text: &str) -> String {
    let mut is_trouble = false;
    let lines = text.lines().filter(|line| {
        if !line.starts_with(' ') {
            is_trouble = !line.starts_with("ok ") && !line.starts_with("skipped ");
        }
        is_trouble
    });
    lines.map(|line| format!("{line}\n")).collect()
}

macro_rules! assert_shown {
    ($text:expr) => {
        insta::with_settings!({filters => vec![
            (r"Request-ID [0-9A-F]+-\d+", "Request-ID […]"),
            (r"127\.0\.0\.1:\d+", "[ADDRESS]"),
            (r"\b(59|60)\d s\b", "[600 s]"),
            (r"timestamp `\d+`", "timestamp `[…]`"),
            (r" \(os error \d+\)", ""),
            // The words of libraries.
            (r"has no address: .*", "has no address: […]"),
            (r"invalid peer certificate: .*", "invalid peer certificate: […]"),
        ]}, { insta::assert_snapshot!($text); });
    };
}

#[test]
fn all_is_well_with_a_sandbox_in_another_process() {
    let mut case = Case::with_serial_for_certificates(&[]);
    case.put_certificate(&case.key().certificate_pem(&case.serial_no(), LATER));
    let run = case.run(&[], &[]).ended(0);
    assert_shown!(case.shown(&run));
    assert_eq!(run.err, "");
}

#[test]
fn all_is_well_with_the_embedded_sandbox_without_credentials() {
    let workspace = Workspace::with(&["a"]);
    let run = doctor(&workspace, &["--sandbox"]).ended(0);
    assert_eq!(run.last_line(), "Doctor: 0 problems, 0 warnings, 2 skipped, 12 ok.");
    let empty = Workspace::new();
    let run = doctor(&empty, &["--sandbox"]).ended(0);
    assert!(run.out.contains("needs a product coupon to read"), "{}", run.out);
    doctor(&empty, &["--sandbox", "--product-coupon", "200000001"]).ended(0);
}

#[test]
fn the_json_form_holds_every_check() {
    let workspace = Workspace::with(&["a"]);
    let run = doctor(&workspace, &["--sandbox", "--format", "json"]).ended(0);
    let json: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(json["format_version"], "1");
    assert_eq!(json["summary"]["problem"], 0);
    let checks = json["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 14);
    assert_eq!(checks[13]["check"], "read");
    assert_eq!(checks[13]["verdict"], "ok");
}

#[test]
fn a_wrong_private_key_is_told_from_a_wrong_serial_number_by_the_certificate() {
    let mut case = Case::with_serial_for_certificates(&[]);
    let right = case.key();
    case.workspace.write("wrong.pem", Key::new().private_pem());
    set_mode(&case.workspace, "wrong.pem", 0o600);
    let wrong = [("COUPONCTL_PRIVATE_KEY_FILE", "wrong.pem")];
    let alone = case.run(&wrong, &[]).ended(1);
    let certificate = right.certificate_pem(&case.serial_no(), LATER);
    case.workspace.write("cert.pem", certificate);
    let known = case.run(&wrong, &["--certificate", "cert.pem"]).ended(1);
    assert_shown!(format!(
        "{}\nwith the certificate:\n{}",
        trouble(&case.shown(&alone)),
        trouble(&case.shown(&known))
    ));
}

#[test]
fn a_wrong_serial_number_is_set_right_by_the_certificate() {
    let mut case = Case::with_serial_for_certificates(&[]);
    let wrong = [("COUPONCTL_CERTIFICATE_SERIAL_NO", "00AA")];
    let alone = case.run(&wrong, &[]).ended(1);
    assert!(alone.out.contains("What remains, most likely first:"), "{}", alone.out);
    case.put_certificate(&case.key().certificate_pem(&case.serial_no(), LATER));
    let known = case.run(&wrong, &[]).ended(1);
    assert_shown!(trouble(&case.shown(&known)));
}

#[test]
fn a_wrong_brand_is_what_remains_when_key_serial_number_and_clock_are_right() {
    let mut case = Case::with_serial_for_certificates(&[]);
    case.put_certificate(&case.key().certificate_pem(&case.serial_no(), LATER));
    let run = case.run(&[("COUPONCTL_BRAND_ID", "999999")], &[]).ended(1);
    assert_shown!(trouble(&case.shown(&run)));
}

#[test]
fn a_wrong_public_key_is_told_from_a_wrong_id_of_it() {
    let mut case = Case::new(&[]);
    case.workspace.write("wrong.pem", Key::new().public_pem());
    let key = case.run(&[("COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE", "wrong.pem")], &[]).ended(1);
    let wrong = "PUB_KEY_ID_0000000000000000000000000000000009";
    let id = case.run(&[("COUPONCTL_WECHATPAY_PUBLIC_KEY_ID", wrong)], &[]).ended(1);
    assert_shown!(format!(
        "the key:\n{}\nthe id:\n{}",
        trouble(&case.shown(&key)),
        trouble(&case.shown(&id))
    ));
}

#[test]
fn answers_that_must_not_be_believed_are_told_apart() {
    let mut all = String::new();
    for fault in ["stale-timestamp", "bad-signature", "tampered-body", "wrong-serial"] {
        let mut case = Case::new(&["--fault", &format!("{fault}=1")]);
        let run = case.run(&[], &[]).ended(1);
        all.push_str(&format!("{fault}:\n{}\n", trouble(&case.shown(&run))));
    }
    assert_shown!(all);
}

#[test]
fn trouble_of_the_server_is_not_taken_for_trouble_of_the_signature() {
    let mut all = String::new();
    for fault in ["error-before", "rate-limit", "drop-before"] {
        let mut case = Case::new(&["--fault", &format!("{fault}=1")]);
        let run = case.run(&[], &[]).ended(1);
        assert!(run.out.contains("skipped  request-signature"), "{}", run.out);
        all.push_str(&format!("{fault}:\n{}\n", trouble(&case.shown(&run))));
    }
    assert_shown!(all);
}

#[test]
fn a_clock_that_is_off_is_named_as_the_cause() {
    let mut all = String::new();
    for (ahead, status) in [("-600", 1), ("600", 1), ("-60", 0)] {
        let mut case = Case::new(&["--clock-ahead", ahead]);
        let run = case.run(&[], &[]).ended(status);
        let text = trouble(&case.shown(&run)).replace("61 s", "60 s");
        all.push_str(&format!("the server's is {ahead} s ahead:\n{text}\n"));
    }
    assert_shown!(all);
}

#[test]
fn a_product_coupon_that_does_not_exist_shows_that_the_signature_is_fine() {
    let mut case = Case::new(&[]);
    let run = case.run(&[], &["--product-coupon", "100404"]).ended(1);
    assert!(run.out.contains("ok       request-signature"), "{}", run.out);
    assert!(run.out.contains("ok       answer-signature"), "{}", run.out);
    assert_shown!(trouble(&case.shown(&run)));
}

#[test]
fn a_product_that_is_not_enabled_shows_that_the_signature_is_fine() {
    let mut case = Case::new(&[]);
    let url = server::that_answers(
        "HTTP/1.1 403 x\r\nContent-Length: 35\r\nConnection: close\r\n\r\n{\"code\":\"NO_AUTH\",\"message\":\"none\"}",
    );
    let run =
        case.run(&[("COUPONCTL_BASE_URL", &url), ("COUPONCTL_FALLBACK_URL", "")], &[]).ended(1);
    assert!(run.out.contains("ok       request-signature"), "{}", run.out);
    assert!(run.out.contains("The signature is fine. Have the product-coupon product enabled"));
}

#[test]
fn the_certificate_is_held_against_time_and_against_what_the_api_accepts() {
    let mut case = Case::with_serial_for_certificates(&[]);
    let ended = case.key().certificate_pem(&case.serial_no(), "2021-01-01T00:00:00Z");
    case.workspace.write("cert.pem", ended);
    let brand = ("COUPONCTL_BRAND_ID", "999999");
    let ended = case.run(&[brand], &["--certificate", "cert.pem"]).ended(1);
    case.workspace.write("cert.pem", Key::new().certificate_pem("0ABC", LATER));
    let refused = case.run(&[brand], &["--certificate", "cert.pem"]).ended(1);
    // The API accepts what is set, so only the file is another one.
    let accepted = case.run(&[], &["--certificate", "cert.pem"]).ended(0);
    case.workspace.write("cert.pem", case.key().private_pem());
    let key = case.run(&[], &["--certificate", "cert.pem"]).ended(1);
    assert_shown!(format!(
        "ended:\n{}\nof another key:\n{}\naccepted all the same:\n{}\nno certificate:\n{}",
        trouble(&case.shown(&ended)),
        trouble(&case.shown(&refused)),
        trouble(&case.shown(&accepted)),
        trouble(&case.shown(&key)),
    ));
}

#[test]
fn hosts_that_cannot_be_reached_are_told_apart() {
    let mut case = Case::new(&[]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    case.workspace.write("couponctl.yaml", "brand_id: \"120344\"\napi: { timeout_seconds: 1 }\n");
    let plain = server::that_answers("HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n");
    let mut all = String::new();
    for (what, url) in [
        ("nothing listens", format!("http://{closed}")),
        ("no such name", "https://couponctl.invalid".to_owned()),
        ("silence", format!("http://{}", silent.local_addr().unwrap())),
        ("no TLS", plain.replace("http:", "https:")),
        ("an untrusted certificate", certificate::that_nobody_trusts()),
        ("plain http", "http://example.com".to_owned()),
    ] {
        let started = Instant::now();
        let other = [("COUPONCTL_BASE_URL", url.as_str()), ("COUPONCTL_FALLBACK_URL", "")];
        let run = case.run(&other, &[]).ended(1);
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        assert!(run.out.contains("skipped  read "), "{}", run.out);
        all.push_str(&format!("{what}:\n{}\n", trouble(&case.shown(&run))));
    }
    assert_shown!(all);
}

#[test]
fn a_proxy_on_the_way_is_named_without_its_password() {
    let mut case = Case::new(&[]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = |text| server::that_answers(text).replace("http://", "");
    let other =
        [("COUPONCTL_BASE_URL", "https://couponctl.invalid"), ("COUPONCTL_FALLBACK_URL", "")];
    let mut all = String::new();
    for (what, proxy) in [
        ("does not run", closed.to_string()),
        (
            "wants a password",
            answer("HTTP/1.1 407 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ),
        ("refuses", answer("HTTP/1.1 403 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")),
    ] {
        case.environment(&other);
        let mut command = case.workspace.command(&["doctor"]);
        trusting(without_proxies(&mut command), &case.workspace)
            .env("HTTPS_PROXY", format!("http://user:secret@{proxy}"));
        let run = crate::workspace::run(command).ended(1);
        assert!(!run.out.contains("secret"), "{}", run.out);
        all.push_str(&format!("it {what}:\n{}\n", trouble(&case.shown(&run))));
    }
    assert_shown!(all);
}

#[test]
fn an_unreachable_fallback_is_a_warning() {
    let mut case = Case::new(&[]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let run = case.run(&[("COUPONCTL_FALLBACK_URL", &url)], &[]).ended(0);
    assert_eq!(run.last_line(), "Doctor: 0 problems, 1 warning, 1 skipped, 12 ok.");
}

#[test]
fn files_that_are_not_the_key_that_belongs_there_are_named_for_what_they_are() {
    let mut case = Case::with_serial_for_certificates(&[]);
    let key = case.key();
    let wrapped = |label: &str| format!("-----BEGIN {label}-----\nMIIB\n-----END {label}-----\n");
    case.workspace.write("public.pem", key.public_pem());
    case.workspace.write("private.pem", key.private_pem());
    case.workspace.write("cert.pem", key.certificate_pem("0A", LATER));
    case.workspace.write("encrypted.pem", wrapped("ENCRYPTED PRIVATE KEY"));
    case.workspace.write("cut-off.pem", wrapped("PRIVATE KEY"));
    case.workspace.write("key.der", [0x30, 0x82, 0xff]);
    for name in ["public.pem", "private.pem", "cert.pem", "encrypted.pem", "cut-off.pem", "key.der"]
    {
        set_mode(&case.workspace, name, 0o600);
    }
    let mut all = String::new();
    for name in ["public.pem", "cert.pem", "encrypted.pem", "cut-off.pem", "key.der", "nowhere.pem"]
    {
        let run = case.run(&[("COUPONCTL_PRIVATE_KEY_FILE", name)], &[]).ended(1);
        all.push_str(&format!("private key {name}:\n{}\n", trouble(&case.shown(&run))));
    }
    for name in ["private.pem", "cert.pem", "public.pem"] {
        let run = case.run(&[("COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE", name)], &[]).ended(1);
        let text = trouble(&case.shown(&run));
        let text: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
        all.push_str(&format!("public key {name}:\n{text}\n"));
    }
    let hex = "1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C";
    let run = case.run(&[("COUPONCTL_WECHATPAY_PUBLIC_KEY_ID", hex)], &[]).ended(1);
    let text = trouble(&case.shown(&run));
    let text: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    all.push_str(&format!("public key id:\n{text}"));
    assert_shown!(all);
    for secret in key.private_pem().lines().filter(|line| line.len() > 40) {
        assert!(!all.contains(secret));
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_a_warning() {
    let mut case = Case::new(&[]);
    case.workspace.write("key.pem", case.key().private_pem());
    set_mode(&case.workspace, "key.pem", 0o644);
    let run = case.run(&[("COUPONCTL_PRIVATE_KEY_FILE", "key.pem")], &[]).ended(0);
    assert_shown!(trouble(&case.shown(&run)));
}

#[test]
fn missing_settings_are_named_and_what_needs_them_is_skipped() {
    let workspace = Workspace::with(&["a"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let missing = doctor(&workspace, &["--base-url", &format!("http://{closed}")]).ended(1);
    workspace.write("couponctl.yaml", "brand: 1\n");
    let wrong = doctor(&workspace, &[]).ended(1);
    workspace.remove("couponctl.yaml");
    let nothing = doctor(&workspace, &[]).ended(1);
    assert_shown!(format!(
        "{}\n{}\n{}",
        shown(&workspace, &missing.out),
        shown(&workspace, &wrong.out),
        trouble(&nothing.out)
            .replace(workspace.path("").display().to_string().trim_end_matches('/'), "[WORKSPACE]")
    ));
}

#[cfg(unix)]
#[test]
fn a_key_may_come_through_a_pipe_and_one_that_never_comes_can_be_broken_off() {
    let mut case = Case::new(&[]);
    let pipe = case.workspace.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    case.environment(&[("COUPONCTL_PRIVATE_KEY_FILE", "pipe")]);
    let start =
        || case.workspace.command(&["doctor", "-q"]).stdout(Stdio::piped()).spawn().unwrap();
    let child = start();
    std::fs::write(&pipe, case.key().private_pem()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ok       request-signature"), "{text}");
    let mut child = start();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none());
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let started = Instant::now();
    assert!(!child.wait().unwrap().success());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_at_once() {
    let mut case = Case::new(&[]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    case.environment(&[("COUPONCTL_BASE_URL", &url), ("COUPONCTL_FALLBACK_URL", "")]);
    let mut child = case.workspace.command(&["doctor"]).spawn().unwrap();
    let _connection = silent.accept().unwrap();
    // It listens to signals from just after it began to connect.
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[cfg(unix)]
fn set_mode(workspace: &Workspace, name: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let rights = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(workspace.path(name), rights).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_workspace: &Workspace, _name: &str, _mode: u32) {}
