//! Addresses: the check of a base URL, and the path of each call below it. What is signed is the
//! path and query of the very URL that is sent.

use std::net::IpAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use super::error::{ApiError, ClientError};

/// Everything but the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Where every call of this client lives.
const ROOT: &str = "/brand/marketing/product-coupon/product-coupons/";
/// Stocks a page of a list, the most that the API gives.
pub(super) const PAGE_SIZE: usize = 50;

/// Checks a base URL: https, or http to this machine; a path is welcome, nothing else is.
pub(super) fn base_url(setting: &'static str, text: &str) -> Result<Url, ClientError> {
    let problem = |problem: &str| ClientError::Url {
        setting,
        url: without_user_info(text),
        problem: problem.to_owned(),
    };
    let url =
        Url::parse(text.trim()).map_err(|error| problem(&format!("is not a URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(problem(
            "holds a user name or a password; requests are signed with the brand's key instead",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(problem(
            "has a query or a fragment; only scheme, host, port and path belong here",
        ));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(problem(
            "is plain http; https is needed, except to this machine (127.0.0.1, [::1], localhost)",
        )),
        _ => Err(problem("is neither https nor, for this machine, http")),
    }
}

/// Whether a URL's host is this machine: 127.0.0.0/8, `::1` or `localhost`.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        ip.map_or(host == "localhost", |ip| ip.is_loopback())
    })
}

/// Why a fallback is not used beside a main host, if it is not.
pub(super) fn no_fallback(main: &Url, fallback: &Url) -> Option<&'static str> {
    if main == fallback {
        Some("fallback_url is the same as base_url")
    } else if is_loopback(main) && !is_loopback(fallback) {
        // What is tried out on this machine must never reach the real API.
        Some("fallback_url is not used, since base_url is this machine")
    } else {
        None
    }
}

/// The text for an error, since a password may stand in it.
fn without_user_info(text: &str) -> String {
    let shown = super::shown::shown(text, super::shown::WORD_CHARS);
    match (shown.find("://"), shown.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}…{}", &shown[..scheme + 3], &shown[at..])
        }
        (None, Some(at)) => format!("…{}", &shown[at..]),
        _ => shown,
    }
}

/// The path of a product coupon's stocks.
pub(super) fn stocks(product_coupon_id: &str) -> Result<String, ApiError> {
    Ok(format!("{ROOT}{}/stocks", segment("product_coupon_id", product_coupon_id)?))
}

/// The path of one stock.
pub(super) fn stock(product_coupon_id: &str, stock_id: &str) -> Result<String, ApiError> {
    Ok(format!("{}/{}", stocks(product_coupon_id)?, segment("stock_id", stock_id)?))
}

/// The path and query of the smallest read there is: at most one stock of a product coupon.
pub(super) fn smallest_page(product_coupon_id: &str) -> Result<String, ApiError> {
    Ok(format!("{}?page_size=1", stocks(product_coupon_id)?))
}

/// The path and query of one page of a product coupon's stocks.
pub(super) fn stocks_page(
    product_coupon_id: &str,
    token: Option<&str>,
) -> Result<String, ApiError> {
    let mut path = format!("{}?page_size={PAGE_SIZE}", stocks(product_coupon_id)?);
    if let Some(token) = token {
        path.push_str("&page_token=");
        path.extend(utf8_percent_encode(token, ESCAPED));
    }
    Ok(path)
}

/// An id as one path segment. Nothing that is in it can end the segment; the two that mean another
/// folder, and the empty one, are refused.
fn segment(what: &'static str, id: &str) -> Result<String, ApiError> {
    if matches!(id, "" | "." | "..") {
        return Err(ApiError::BadId { what, id: id.to_owned() });
    }
    Ok(utf8_percent_encode(id, ESCAPED).to_string())
}

/// The URL of a call below a base URL.
pub(super) fn join(base: &Url, path_and_query: &str) -> Result<Url, ApiError> {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let path = format!("{}{path}", base.path().trim_end_matches('/'));
    let mut url = base.clone();
    url.set_path(&path);
    url.set_query(query);
    // The URL library must not have understood any part of an id in its own way.
    if url.path() == path && url.query() == query {
        Ok(url)
    } else {
        Err(ApiError::BadId { what: "path", id: super::shown::shown(path_and_query, 200) })
    }
}

/// The path and query as they go out, which is what the signature covers.
pub(super) fn signed_part(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
