//! What stands in the log, and what never does.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// A log that a test reads afterwards.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_line_per_request_says_what_happened_and_holds_no_secret_at_the_finest_level() {
    // For the whole process, since whether a place in the code logs at all is cached for all
    // threads when the first one passes it; lines are told apart by the server's port.
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let server = Server::with(vec![error(500, "SYSTEM_ERROR"), Reply::Bytes(Vec::new()), ok()]);
    let server = server.await;
    client(&server).add_stock("200000001", r#"{"stock":"b0dy"}"#, &|_| ()).await.unwrap();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let host = format!("host=\"{}\"", server.url.trim_start_matches("http://"));
    let lines: Vec<_> = text.lines().filter(|line| line.contains(&host)).collect();
    assert_eq!(lines.len(), 3, "{text}");
    for part in [
        "DEBUG",
        "POST",
        "path=\"/brand/marketing/product-coupon/product-coupons/200000001/stocks\"",
        "status=500",
        "duration_ms=",
        "request_id=\"0A1B-268435461\"",
        "attempt=1",
    ] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    assert!(lines[1].contains("attempt=2"), "{}", lines[1]);
    assert!(lines[2].contains("status=200"), "{}", lines[2]);
    for seen in server.seen() {
        let authorization = seen.authorization();
        assert!(!text.contains(&authorization.signature), "{text}");
        assert!(!text.contains(&authorization.nonce_str), "{text}");
    }
    assert!(!text.contains("b0dy") && !text.contains("满减券"), "{text}");
    assert!(!text.contains(KEYS.0.lines().nth(3).unwrap()), "{text}");
}
