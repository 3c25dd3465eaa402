//! Whether the hosts can be reached, and this machine's clock against theirs.

use super::facts::{Fallback, Setup, Site, SiteError};
use super::{Check, Subject};
use crate::wechatpay::error::{ApiError, Transport, TransportKind};
use crate::wechatpay::examine::Reach;

/// From this many seconds on, WeChat Pay refuses signatures, and its own are refused here.
pub(super) const CLOCK_LIMIT: u64 = 300;
/// Above this many seconds a clock gets a warning.
const CLOCK_CARE: u64 = 30;

pub(super) fn check(setup: &Setup) -> Vec<Check> {
    let fallback = match &setup.fallback {
        Fallback::Site(site) => site_check(Subject::Fallback, site),
        Fallback::Unused(why) => Check::skipped(Subject::Fallback, *why),
    };
    vec![site_check(Subject::Network, &setup.base), fallback, clock(setup)]
}

/// Whether requests may go to the URLs at all.
pub(super) fn base_url(setup: &Setup) -> Check {
    const THIS: Subject = Subject::BaseUrl;
    let fallback = match &setup.fallback {
        Fallback::Site(site) => Some(site),
        Fallback::Unused(_) => None,
    };
    let sites = [Some(&setup.base), fallback].into_iter().flatten();
    let wrong = sites.filter_map(|site| match &site.reach {
        Err(SiteError::Url(problem)) => Some(problem.clone()),
        _ => None,
    });
    let wrong: Vec<_> = wrong.collect();
    if !wrong.is_empty() {
        let check = Check::problem(THIS, "requests must not go there");
        return Check { advice: wrong, ..check };
    }
    let then = fallback.map(|site| format!(", and when in trouble {}", site.url));
    Check::ok(THIS, format!("{}{}", setup.base.url, then.unwrap_or_default()))
}

fn site_check(this: Subject, site: &Site) -> Check {
    let reach = match &site.reach {
        Ok(reach) => reach,
        Err(SiteError::Url(_)) => {
            return Check::skipped(this, format!("needs a {} that can be", site.setting));
        }
        Err(SiteError::Setup(problem)) => {
            return Check::problem(this, "TLS cannot be set up").do_this(problem);
        }
    };
    let proxy = reach.proxy.as_deref();
    let through = proxy.map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default();
    match &reach.outcome {
        Ok(_) => {
            let tls =
                if site.url.starts_with("https:") { " with a trusted certificate" } else { "" };
            Check::ok(this, format!("{} answers{through}{tls}", reach.host))
        }
        Err(error) => {
            let (what, advice) = match error {
                ApiError::Transport(transport) => (
                    transport_what(transport, reach),
                    transport_advice(transport.kind, site.setting, reach),
                ),
                other => (format!("{other}{through}"), other.advice()),
            };
            // Commands do without the fallback as long as the other host answers.
            let is_needed = this == Subject::Network;
            let verdict = if is_needed { Check::problem } else { Check::warning };
            verdict(this, what).do_this(advice)
        }
    }
}

/// What happened, told of the proxy where it is the proxy that was not reached or that refused.
fn transport_what(transport: &Transport, reach: &Reach) -> String {
    match (transport.kind, &reach.proxy) {
        (TransportKind::Dns | TransportKind::Refused | TransportKind::Unreachable, Some(proxy)) => {
            format!("no way to {} through the proxy {proxy}: {}", reach.host, transport.detail)
        }
        (_, Some(proxy)) => format!("{transport} (through the proxy {proxy})"),
        (_, None) => transport.to_string(),
    }
}

/// What to do when no answer comes back.
pub(super) fn transport_advice(kind: TransportKind, setting: &str, reach: &Reach) -> String {
    let no_proxy = "Where the way out is a proxy, name it in HTTPS_PROXY.";
    match (kind, reach.proxy.as_deref()) {
        (TransportKind::Dns | TransportKind::Refused | TransportKind::Unreachable, Some(proxy)) => {
            format!(
                "The proxy is that of HTTPS_PROXY, or of the system's settings: check that {proxy} is \
                 right, that it runs, and that it lets this machine through to {}; NO_PROXY names \
                 hosts that need none.",
                reach.host
            )
        }
        (TransportKind::Dns, None) => format!(
            "Check the name in {setting}, and whether this machine resolves names (network, DNS, \
             VPN). {no_proxy}"
        ),
        (TransportKind::Refused, None) => format!(
            "Nothing listens there: check host and port of {setting}; for the sandbox, that it is \
             still running."
        ),
        (TransportKind::Unreachable, None) => {
            format!("Check this machine's network and its firewall. {no_proxy}")
        }
        (TransportKind::Certificate, _) => {
            "The name was found and something answers, but not with \
             a certificate that this machine trusts: check the clock and the CA certificates \
             (package `ca-certificates`); a proxy or firewall that opens TLS needs its own CA \
             installed here, or named in SSL_CERT_FILE."
                .to_owned()
        }
        (TransportKind::Tls, _) => format!(
            "The connection stands, but what answers does not speak TLS as it should: check host \
             and port of {setting}, and what lies between, such as a firewall."
        ),
        (TransportKind::TimedOut, _) => format!(
            "Check the network, and whether a firewall drops connections to {}; if it is only slow, \
             raise api.timeout_seconds. {no_proxy}",
            reach.host
        ),
        (TransportKind::CutOff | TransportKind::TooLarge | TransportKind::Other, _) => format!(
            "Try again; if it stays, check that {setting} is the API itself, and look at proxies \
             and firewalls between."
        ),
    }
}

fn clock(setup: &Setup) -> Check {
    const THIS: Subject = Subject::Clock;
    let Some(clock) = setup.clock() else {
        return Check::skipped(THIS, "needs an answer with a Date to compare with");
    };
    let off = clock.ahead_seconds.unsigned_abs();
    let way = if clock.ahead_seconds > 0 { "back" } else { "forward" };
    let advice = format!(
        "Set it {way} by {off} s, best by time synchronisation (Linux: `timedatectl set-ntp true`; \
         macOS: `sudo sntp -sS time.apple.com`; Windows: `w32tm /resync`; a container has its host's \
         clock); at {CLOCK_LIMIT} s and more WeChat Pay refuses signatures."
    );
    let what = clock.to_string();
    if off >= CLOCK_LIMIT {
        Check::problem(THIS, what).do_this(advice)
    } else if off > CLOCK_CARE {
        Check::warning(THIS, what).do_this(advice)
    } else {
        Check::ok(THIS, what)
    }
}
