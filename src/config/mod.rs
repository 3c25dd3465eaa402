//! Settings and credentials: flag, then environment, then `couponctl.yaml`, then default. Reads
//! files and the environment once, at the start; the rooms below get plain values.

mod credentials;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::plain::holds_private_key;
use crate::plan::guardrails::Guardrails;
use crate::wechatpay::client::ClientOptions;
use crate::wechatpay::signing::KeyError;
use crate::wechatpay::stock::Text;
pub use credentials::KeyText;
use credentials::{CredentialSources, KeySource};

/// The file that makes a folder a workspace.
pub const FILE_NAME: &str = "couponctl.yaml";
/// Where stock files are looked for.
pub const STOCKS: [&str; 2] = ["stocks/**/*.yaml", "stocks/**/*.yml"];
/// Most bytes that `couponctl.yaml` or a key file may have.
const MOST_BYTES: u64 = 1 << 20;

/// Why settings or credentials could not be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// No workspace here or above.
    #[error(
        "no {FILE_NAME} in {} or a folder above it; run `couponctl init` to make a workspace here, \
         or name one with `-C DIR`", .0.display()
    )]
    NoWorkspace(PathBuf),
    /// The named folder is no workspace.
    #[error(
        "{} has no {FILE_NAME}; run `couponctl init {}` to make a workspace there",
        .0.display(), .0.display()
    )]
    NotAWorkspace(PathBuf),
    /// A file cannot be read.
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// A file is too large to be what it should be.
    #[error("{}: has more than 1 MiB; this is not {what}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// The settings are not as they should be.
    #[error("{place}: {message}")]
    Settings {
        /// File, line and column.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A private key where something else belongs. It is not shown.
    #[error("{place} holds a private key; {advice}")]
    KeyInPlace {
        /// The file, flag or variable.
        place: String,
        /// Where it belongs.
        advice: &'static str,
    },
    /// A setting's value cannot be.
    #[error("{name}: {message}")]
    Value {
        /// The setting, flag or variable.
        name: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Credentials are missing.
    #[error("credentials are missing:\n{}", .0.join("\n"))]
    MissingCredentials(Vec<String>),
    /// A key could not be used.
    #[error("{place}: {error}")]
    Key {
        /// The file or variable.
        place: String,
        /// What is wrong.
        error: KeyError,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    brand_id: Option<Text>,
    stocks: Option<Vec<Text>>,
    api: ApiFile,
    credentials: CredentialsFile,
    guardrails: Guardrails,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ApiFile {
    base_url: Option<Text>,
    fallback_url: Option<Text>,
    requests_per_second: Option<u32>,
    timeout_seconds: Option<u32>,
    max_attempts: Option<u32>,
    retry_seconds: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CredentialsFile {
    certificate_serial_no: Option<Text>,
    private_key_file: Option<Text>,
    wechatpay_public_key_id: Option<Text>,
    wechatpay_public_key_file: Option<Text>,
}

/// Settings given as flags.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `-C`.
    pub workspace: Option<PathBuf>,
    /// `--brand-id`.
    pub brand_id: Option<String>,
    /// `--base-url`.
    pub base_url: Option<String>,
    /// `--fallback-url`.
    pub fallback_url: Option<String>,
}

/// The settings of a workspace.
#[derive(Debug, Clone)]
pub struct Config {
    /// The workspace.
    pub root: PathBuf,
    /// The brand.
    pub brand_id: String,
    /// Patterns of stock files.
    pub stocks: Vec<String>,
    /// The API.
    pub api: ClientOptions,
    /// Limits that a plan must not pass.
    pub guardrails: Guardrails,
    credentials: CredentialSources,
}

/// Finds the workspace: the folder named, or the nearest one above `here` that has the settings file.
///
/// # Errors
/// When there is none.
pub fn find_workspace(named: Option<&Path>, here: &Path) -> Result<PathBuf, ConfigError> {
    match named {
        Some(folder) if folder.join(FILE_NAME).is_file() => Ok(folder.to_owned()),
        Some(folder) => Err(ConfigError::NotAWorkspace(folder.to_owned())),
        None => here
            .ancestors()
            .find(|folder| folder.join(FILE_NAME).is_file())
            .map(Path::to_owned)
            .ok_or_else(|| ConfigError::NoWorkspace(here.to_owned())),
    }
}

/// Reads the settings of a workspace.
///
/// # Errors
/// When the file cannot be read, has an unknown key or a value that cannot be, or no brand is set.
pub fn load(
    root: PathBuf,
    flags: &Flags,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let path = root.join(FILE_NAME);
    let text = read_text(&path, "a settings file")?;
    no_key_in_place(&text, flags, variable)?;
    let file = parse(&text)?;
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let text = |value: Option<Text>| value.map(|text| text.0);

    let brand_id = flags
        .brand_id
        .clone()
        .or_else(|| set("COUPONCTL_BRAND_ID"))
        .or_else(|| text(file.brand_id))
        .ok_or_else(|| value_error(
            "brand_id",
            format!("it is not set; write `brand_id: \"120344\"` (your brand's id, in quotes) into {FILE_NAME}, or set COUPONCTL_BRAND_ID"),
        ))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if brand_id.is_empty() || brand_id.len() > 32 || !brand_id.chars().all(plain) {
        let message =
            format!("`{}` is not a brand id: 1 to 32 letters and digits", brand_id.escape_debug());
        return Err(value_error("brand_id", message));
    }
    let default = ClientOptions::default();
    let base_url = flags
        .base_url
        .clone()
        .or_else(|| set("COUPONCTL_BASE_URL"))
        .or_else(|| text(file.api.base_url));
    let fallback_url = flags
        .fallback_url
        .clone()
        .or_else(|| variable("COUPONCTL_FALLBACK_URL"))
        .or_else(|| text(file.api.fallback_url))
        // Another base has no fallback unless one is named: requests must not stray to the real API.
        .or_else(|| if base_url.is_none() { default.fallback_url } else { None })
        .filter(|url| !url.is_empty());
    let retry = seconds("api.retry_seconds", file.api.retry_seconds, default.retry, 3600)?;
    let per_second = (file.api.requests_per_second, default.requests_per_second);
    let attempts = (file.api.max_attempts, default.max_attempts);
    let api = ClientOptions {
        base_url: base_url.unwrap_or(default.base_url),
        fallback_url,
        requests_per_second: within("api.requests_per_second", per_second.0, per_second.1, 1000)?,
        timeout: seconds("api.timeout_seconds", file.api.timeout_seconds, default.timeout, 300)?,
        max_attempts: within("api.max_attempts", attempts.0, attempts.1, 100)?,
        retry,
        // A short bound on retries leaves room for some all the same.
        first_delay: default.first_delay.min(retry / 4),
    };
    let key =
        |inline: Option<(&'static str, String)>, named: Option<String>, file: Option<Text>| {
            inline
                .map(|(name, value)| KeySource::Variable(name, Zeroizing::new(value)))
                .or_else(|| named.map(|path| KeySource::File(path.into())))
                .or_else(|| file.map(|path| KeySource::File(root.join(path.0))))
        };
    let inline = |name: &'static str| set(name).map(|value| (name, value));
    let credentials = CredentialSources {
        certificate_serial_no: set("COUPONCTL_CERTIFICATE_SERIAL_NO")
            .or_else(|| text(file.credentials.certificate_serial_no)),
        private_key: key(
            inline("COUPONCTL_PRIVATE_KEY"),
            set("COUPONCTL_PRIVATE_KEY_FILE"),
            file.credentials.private_key_file,
        ),
        wechatpay_public_key_id: set("COUPONCTL_WECHATPAY_PUBLIC_KEY_ID")
            .or_else(|| text(file.credentials.wechatpay_public_key_id)),
        wechatpay_public_key: key(
            inline("COUPONCTL_WECHATPAY_PUBLIC_KEY"),
            set("COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE"),
            file.credentials.wechatpay_public_key_file,
        ),
    };
    let stocks = match file.stocks {
        Some(patterns) => patterns.into_iter().map(|pattern| pattern.0).collect(),
        None => STOCKS.map(str::to_owned).to_vec(),
    };
    Ok(Config { root, brand_id, stocks, api, credentials, guardrails: file.guardrails })
}

/// Most opening brackets of the settings.
const MOST_BRACKETS: usize = 1000;

/// Variables that take anything but a private key.
const VARIABLES: [&str; 7] = [
    "COUPONCTL_BRAND_ID",
    "COUPONCTL_BASE_URL",
    "COUPONCTL_FALLBACK_URL",
    "COUPONCTL_CERTIFICATE_SERIAL_NO",
    "COUPONCTL_PRIVATE_KEY_FILE",
    "COUPONCTL_WECHATPAY_PUBLIC_KEY_ID",
    "COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE",
];

/// Refuses a private key where something else belongs, before an error about it could show it.
fn no_key_in_place(
    settings: &str,
    flags: &Flags,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    if holds_private_key(settings) {
        return Err(ConfigError::KeyInPlace {
            place: FILE_NAME.to_owned(),
            advice: "it belongs in a file of its own outside git, whose path is `credentials.private_key_file`. If this file was ever committed, have the key replaced",
        });
    }
    let set = VARIABLES.into_iter().filter_map(|name| Some((name, variable(name)?)));
    let flags = [
        ("--brand-id", &flags.brand_id),
        ("--base-url", &flags.base_url),
        ("--fallback-url", &flags.fallback_url),
    ];
    let flags = flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    match set.chain(flags).find(|(_, value)| holds_private_key(value)) {
        Some((name, _)) => Err(ConfigError::KeyInPlace {
            place: name.to_owned(),
            advice: "the key itself goes into COUPONCTL_PRIVATE_KEY, the path of its file into COUPONCTL_PRIVATE_KEY_FILE",
        }),
        None => Ok(()),
    }
}

fn value_error(name: &str, message: String) -> ConfigError {
    ConfigError::Value { name: name.to_owned(), message }
}

fn within(name: &str, value: Option<u32>, default: u32, most: u32) -> Result<u32, ConfigError> {
    let value = value.unwrap_or(default);
    if (1..=most).contains(&value) {
        Ok(value)
    } else {
        Err(value_error(name, format!("{value} is not in 1 to {most}; the default is {default}")))
    }
}

fn seconds(
    name: &str,
    value: Option<u32>,
    default: Duration,
    most: u32,
) -> Result<Duration, ConfigError> {
    let default = u32::try_from(default.as_secs()).unwrap_or(most);
    Ok(Duration::from_secs(within(name, value, default, most)?.into()))
}

fn parse(text: &str) -> Result<File, ConfigError> {
    let blank = |line: &str| matches!(line.trim_start().chars().next(), None | Some('#'));
    if text.lines().all(blank) {
        return Ok(File::default());
    }
    // With many more, the YAML crate takes quadratic time.
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > MOST_BRACKETS {
        let message = format!("it has more than {MOST_BRACKETS} opening brackets");
        return Err(ConfigError::Settings { place: FILE_NAME.to_owned(), message });
    }
    serde_yaml::from_str(text).map_err(|error| {
        let place = match error.location() {
            Some(at) => format!("{FILE_NAME}:{}:{}", at.line(), at.column()),
            None => FILE_NAME.to_owned(),
        };
        let full = error.to_string();
        let message = full.split(" at line ").next().unwrap_or(&full);
        let advice =
            if message.contains("expected a string") { "; put the value in quotes" } else { "" };
        ConfigError::Settings { place, message: format!("{message}{advice}") }
    })
}

/// Reads a text file of at most 1 MiB; `what` says what it should be.
///
/// # Errors
/// When it cannot be read, or is larger.
pub fn read_text(path: &Path, what: &'static str) -> Result<String, ConfigError> {
    use std::io::Read as _;
    let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned(), what });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechatpay::signing::PrivateKey;

    fn load_with(
        yaml: &str,
        flags: &Flags,
        variables: &[(&str, &str)],
    ) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), yaml).unwrap();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        load(folder.path().to_owned(), flags, &variable)
    }

    #[test]
    fn a_flag_is_stronger_than_the_environment_than_the_file_than_the_default() {
        let yaml = "brand_id: \"1\"\napi: { base_url: \"https://file\" }\n";
        let environment =
            [("COUPONCTL_BRAND_ID", "2"), ("COUPONCTL_BASE_URL", "https://environment")];
        let flags = Flags { brand_id: Some("3".into()), ..Flags::default() };
        let brand = |config: Config| (config.brand_id, config.api.base_url);
        let of = |brand: &str, url: &str| (brand.to_owned(), url.to_owned());
        let none = Flags::default();
        assert_eq!(brand(load_with(yaml, &none, &[]).unwrap()), of("1", "https://file"));
        assert_eq!(
            brand(load_with(yaml, &none, &environment).unwrap()),
            of("2", "https://environment")
        );
        assert_eq!(
            brand(load_with(yaml, &flags, &environment).unwrap()),
            of("3", "https://environment")
        );
        let default = load_with("brand_id: \"1\"\n", &none, &[]).unwrap().api;
        assert_eq!(default, ClientOptions::default());
    }

    #[test]
    fn another_base_never_falls_back_to_the_real_api() {
        let none = Flags::default();
        let there =
            load_with("brand_id: \"1\"\n", &none, &[("COUPONCTL_BASE_URL", "https://x")]).unwrap();
        assert_eq!(there.api.fallback_url, None);
        let off = load_with("brand_id: \"1\"\n", &none, &[("COUPONCTL_FALLBACK_URL", "")]).unwrap();
        assert_eq!(off.api.fallback_url, None, "empty: nowhere");
    }

    #[test]
    fn key_paths_in_the_file_are_relative_to_the_workspace_and_keys_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let key = PrivateKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        std::fs::write(folder.path().join("key.pem"), &*pem).unwrap();
        std::fs::write(folder.path().join("pub.pem"), key.public_key().to_pem().unwrap()).unwrap();
        let yaml = "brand_id: \"1\"\ncredentials: { certificate_serial_no: 0a1b, private_key_file: key.pem, wechatpay_public_key_id: PUB_KEY_ID_1, wechatpay_public_key_file: pub.pem }\n";
        std::fs::write(folder.path().join(FILE_NAME), yaml).unwrap();
        let config = load(folder.path().to_owned(), &Flags::default(), &|_| None).unwrap();
        let mut warnings = Vec::new();
        let credentials = config.credentials(&mut |warning| warnings.push(warning)).unwrap();
        assert_eq!(credentials.certificate_serial_no, "0A1B");
        if cfg!(unix) {
            assert!(warnings[0].contains("others on this machine can read the private key"));
        }
        let inline =
            |name: &str| (name == "COUPONCTL_PRIVATE_KEY").then(|| pem.replace('\n', "\\n"));
        let config = load(folder.path().to_owned(), &Flags::default(), &inline).unwrap();
        let credentials = config.credentials(&mut |_| {}).unwrap();
        let shown = format!("{config:?} {credentials:?}");
        assert!(!shown.contains(pem.lines().nth(2).unwrap()), "{shown}");
    }
}
