//! Each fault, seen from the other end of the socket.

use std::time::{Duration, Instant};

use super::*;

/// Sends *add stock*; `None` when the connection is closed without an answer.
async fn try_add(sandbox: &Sandbox) -> Option<Reply> {
    let path = stocks_path("1");
    Call::new(sandbox, "POST", &path).body(&body("request-1")).send().await
}

#[tokio::test]
async fn dropped_before_nothing_is_done_and_dropped_after_it_is() {
    for (spec, made) in [("drop-before=1", 0), ("drop-after=1", 1)] {
        let sandbox = start_with_faults(&[spec]).await;
        assert!(try_add(&sandbox).await.is_none(), "{spec}");
        assert!(try_add(&sandbox).await.is_none(), "{spec}");
        assert_eq!(sandbox.stocks().len(), made, "{spec}");
    }
}

#[tokio::test]
async fn an_error_before_does_nothing_and_an_error_after_does_it() {
    for (spec, made) in [("error-before=1", 0), ("error-after=1", 1)] {
        let sandbox = start_with_faults(&[spec]).await;
        let reply = try_add(&sandbox).await.unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (500, "SYSTEM_ERROR"), "{spec}");
        assert_eq!(sandbox.stocks().len(), made, "{spec}");
    }
}

#[tokio::test]
async fn a_rate_limit_does_nothing() {
    let sandbox = start_with_faults(&["rate-limit=1"]).await;
    let reply = try_add(&sandbox).await.unwrap();
    assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (429, "1"));
    assert_eq!(sandbox.stocks(), []);
}

#[tokio::test]
async fn a_slow_answer_is_made_at_once_and_comes_late() {
    let sandbox = start_with_faults(&["slow=1:300ms"]).await;
    let path = stocks_path("1");
    let call = Call::new(&sandbox, "POST", &path).body(&body("request-1")).signed();
    let started = Instant::now();
    let (reply, made) = tokio::join!(call.send_as_is(), async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        sandbox.stocks().len()
    });
    assert_eq!(made, 1);
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(reply.unwrap().verifies(&sandbox));
}

#[tokio::test]
async fn the_latency_is_on_every_answer() {
    let latency = Duration::from_millis(100);
    let sandbox = start(SandboxOptions { latency, ..options() }).await;
    let started = Instant::now();
    get(&sandbox, &stocks_path("1")).await;
    assert!(started.elapsed() >= latency);
}

#[tokio::test]
async fn a_bad_signature_does_not_verify() {
    let sandbox = start_with_faults(&["bad-signature=1"]).await;
    let reply = try_add(&sandbox).await.unwrap();
    assert!(!reply.verifies(&sandbox));
    assert!(reply.headers["wechatpay-signature"].starts_with("WECHATPAY/SIGNTEST/"));
    assert_eq!(reply.json()["stock_id"], "1000000013001");
}

#[tokio::test]
async fn a_tampered_body_names_another_stock_and_does_not_verify() {
    let sandbox = start_with_faults(&["tampered-body=1"]).await;
    let reply = try_add(&sandbox).await.unwrap();
    assert!(!reply.verifies(&sandbox) && reply.whole);
    assert_eq!(reply.json()["stock_id"], "9000000013001");
    let empty = get(&sandbox, &stocks_path("2")).await;
    assert!(!empty.verifies(&sandbox));
    assert_eq!(empty.json()["total_count"], 0);
}

#[tokio::test]
async fn a_stale_timestamp_is_ten_minutes_old_and_verifies() {
    let sandbox = start_with_faults(&["stale-timestamp=1"]).await;
    let reply = try_add(&sandbox).await.unwrap();
    let then: i64 = reply.headers["wechatpay-timestamp"].parse().unwrap();
    assert!((600..610).contains(&(Timestamp::now().as_second() - then)));
    assert!(reply.verifies(&sandbox));
}

#[tokio::test]
async fn a_wrong_serial_names_another_key_and_verifies() {
    let sandbox = start_with_faults(&["wrong-serial=1"]).await;
    let reply = try_add(&sandbox).await.unwrap();
    let serial = &reply.headers["wechatpay-serial"];
    assert_ne!(*serial, sandbox.keys().wechatpay_public_key_id);
    assert_eq!(serial.len(), sandbox.keys().wechatpay_public_key_id.len());
    assert!(reply.verifies(&sandbox));
}

#[tokio::test]
async fn a_truncated_body_is_shorter_than_it_says() {
    let sandbox = start_with_faults(&["truncated-body=1"]).await;
    let reply = try_add(&sandbox).await.unwrap();
    assert!(!reply.whole && !reply.body.is_empty());
    assert_eq!(reply.status, 200);
    assert_eq!(sandbox.stocks().len(), 1);
}

#[tokio::test]
async fn a_known_number_already_exists_and_a_new_one_does_not() {
    let sandbox = start_with_faults(&["already-exists=1"]).await;
    assert_eq!(try_add(&sandbox).await.unwrap().status, 200);
    let reply = try_add(&sandbox).await.unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (400, "ALREADY_EXISTS"));
    assert_eq!(sandbox.stocks().len(), 1);
}

#[tokio::test]
async fn the_same_seed_and_order_meet_the_same_faults() {
    let run = async |seed| {
        let faults = Faults::parse(&["drop-before=0.3", "error-after=0.3"]).unwrap();
        let sandbox = start(SandboxOptions { faults, seed, ..options() }).await;
        let mut met = Vec::new();
        for _ in 0..30 {
            met.push(try_add(&sandbox).await.map(|reply| reply.status));
        }
        met
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}
