//! What the sandbox refuses, with which status, code, number and words.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_wrong_brand_serial_clock_key_and_header_are_told_apart() {
    type Spoil = fn(&mut Call);
    let sandbox = start(options()).await;
    let path = stocks_path("1");
    let before: [(&str, Spoil); 7] = [
        ("brand_id ", |call| call.authorization.brand_id = "7".into()),
        ("serial_no ", |call| call.authorization.serial_no = "7".into()),
        ("timestamp is 300 s behind", |call| call.authorization.timestamp -= 300),
        ("timestamp is 301 s ahead", |call| call.authorization.timestamp += 301),
        ("nonce_str must", |call| call.authorization.nonce_str = "a b".into()),
        ("signature does not verify", |call| call.key = PrivateKey::generate().unwrap()),
        ("Wechatpay-Serial is not", |call| call.wechatpay_serial = Some("7".into())),
    ];
    let after: [(&str, Spoil); 6] = [
        ("signature does not verify", |call| call.body.push(b' ')),
        ("signature does not verify", |call| call.path = "/other"),
        ("signature does not verify", |call| call.method = "PUT"),
        ("signature does not verify", |call| call.authorization.timestamp -= 1),
        ("Authorization is not", |call| call.authorization_text = Some("Basic x".into())),
        ("Wechatpay-Serial is missing", |call| call.wechatpay_serial = None),
    ];
    for (says, spoil, signed_first) in
        before.map(|(s, f)| (s, f, false)).into_iter().chain(after.map(|(s, f)| (s, f, true)))
    {
        let mut call = Call::new(&sandbox, "POST", &path).body(&body("request-1"));
        if signed_first {
            call = call.signed();
        }
        spoil(&mut call);
        if !signed_first {
            call = call.signed();
        }
        let reply = call.send_as_is().await.unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (401, "SIGN_ERROR"), "{says}");
        assert!(reply.message().starts_with(says), "{says}: {}", reply.message());
        assert!(reply.verifies(&sandbox));
        // The server's clock is on every answer, so that a client can tell how far it is off.
        assert!(reply.headers.contains_key("date"));
    }
    assert_eq!(sandbox.stocks(), []);
}

#[tokio::test]
async fn a_request_without_any_signature_is_told_what_is_missing() {
    let sandbox = start(options()).await;
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let reply = Reply::read(&bytes).unwrap();
    assert_eq!(reply.status, 401);
    assert!(reply.message().starts_with("Authorization is missing"));
}

#[tokio::test]
async fn the_same_signed_bytes_are_taken_once() {
    let (clock, seconds) = settable_clock();
    let sandbox = start(SandboxOptions { clock, ..options() }).await;
    let path = stocks_path("1");
    let call = Call::new(&sandbox, "POST", &path).body(&body("request-1")).signed();
    assert_eq!(call.send_as_is().await.unwrap().status, 200);
    let again = call.send_as_is().await.unwrap();
    assert_eq!((again.status, again.code().as_str()), (401, "SIGN_ERROR"));
    assert!(again.message().starts_with("nonce_str was used before"));
    seconds.fetch_add(299, Ordering::SeqCst);
    assert!(call.send_as_is().await.unwrap().message().starts_with("nonce_str was used before"));
    seconds.fetch_add(1, Ordering::SeqCst);
    assert!(call.send_as_is().await.unwrap().message().starts_with("timestamp is 300 s behind"));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let sandbox = start(options()).await;
    add(&sandbox, "request-1").await;
    for (path, number) in [
        ("/".to_owned(), 0),
        (format!("{COUPONS}/1"), 0),
        (format!("{}/1000000013001/more", stocks_path("1")), 0),
        (format!("{COUPONS}/%FF/stocks"), 0),
        (stocks_path("1404"), 268_578_608),
        (stocks_path("abc"), 268_578_608),
        (stocks_path("123456789012345678901"), 268_578_608),
        (format!("{}/1000000013002", stocks_path("1")), 268_578_608),
        (format!("{}/1000000013001", stocks_path("2")), 268_578_608),
    ] {
        let reply = get(&sandbox, &path).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "NOT_FOUND"), "{path}");
        assert_eq!(reply.number(), number, "{path}");
    }
    let reply = post(&sandbox, &stocks_path("404"), &body("request-2")).await;
    assert_eq!(reply.status, 404);
    assert_eq!(deactivate(&sandbox, "1", "off-1234").await.status, 404);
}

#[tokio::test]
async fn only_listed_product_coupons_exist_when_there_is_a_list() {
    let product_coupons = Some(vec!["404".to_owned()]);
    let sandbox = start(SandboxOptions { product_coupons, ..options() }).await;
    assert_eq!(post(&sandbox, &stocks_path("404"), &body("request-1")).await.status, 200);
    assert_eq!(post(&sandbox, &stocks_path("1"), &body("request-2")).await.status, 404);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let sandbox = start(options()).await;
    let stock = format!("{}/1", stocks_path("1"));
    let off = format!("{stock}/deactivate");
    for (path, allow) in [(stocks_path("1"), "GET, POST"), (stock, "GET"), (off, "POST")] {
        let reply = Call::new(&sandbox, "PATCH", &path).send().await.unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
        assert_eq!(reply.headers["allow"], allow);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_or_not_json_is_refused() {
    let sandbox = start(options()).await;
    let path = stocks_path("1");
    let send = |bytes: Vec<u8>| {
        let mut call = Call::new(&sandbox, "POST", &path);
        call.body = bytes;
        call.send()
    };
    assert_eq!(send(vec![b' '; 1024 * 1024 + 1]).await.unwrap().status, 413);
    let twice = body("request-1")
        .to_string()
        .replace("\"store_scope\":\"NONE\"", "\"store_scope\":\"ALL\",\"store_scope\":\"NONE\"");
    for bytes in [b"".to_vec(), b"{".to_vec(), b"\xff".to_vec(), b"[1]".to_vec(), twice.into()] {
        let reply = send(bytes).await.unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (400, "PARAM_ERROR"), "{reply:?}");
    }
    let mut call = Call::new(&sandbox, "POST", &path).body(&body("request-1"));
    call.content_type = "text/plain";
    let reply = call.send().await.unwrap();
    assert_eq!(reply.json()["detail"]["field"], "Content-Type");
    assert_eq!(sandbox.stocks(), []);
}

#[tokio::test]
async fn a_wrong_field_is_named_in_the_detail() {
    let sandbox = start(options()).await;
    let mut wrong = body("request-1");
    wrong["stock"]["remark"] = "一二三四五六七八九十一二三四五六七八九十一".into();
    let reply = post(&sandbox, &stocks_path("1"), &wrong).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "PARAM_ERROR"));
    assert_eq!(reply.number(), 268_435_462);
    let detail = json!({
        "location": "body", "field": "/stock/remark", "issue": "must be at most 20 characters"
    });
    assert_eq!(reply.json()["detail"], detail);
    let path = format!("{}/1/deactivate", stocks_path("1"));
    let long = json!({ "out_request_no": "off-1234", "deactivate_reason": "长".repeat(151) });
    let reply = post(&sandbox, &path, &long).await;
    assert_eq!(reply.json()["detail"]["field"], "/deactivate_reason");
}

#[tokio::test]
async fn an_appid_that_is_not_bound_is_refused() {
    let sandbox = start(options()).await;
    let mut unbound = body("request-1");
    unbound["stock"]["notify_config"]["notify_appid"] = "wx-unbound".into();
    let reply = post(&sandbox, &stocks_path("1"), &unbound).await;
    assert_eq!((reply.code().as_str(), reply.number()), ("INVALID_REQUEST", 268_578_704));
}

#[tokio::test]
async fn a_wrong_query_is_refused_by_its_parameter() {
    let sandbox = start(options()).await;
    for (query, field) in [
        ("state=sending", "state"),
        ("page_size=0", "page_size"),
        ("page_size=51", "page_size"),
        ("page_size=", "page_size"),
        ("page_token=1", "page_token"),
        ("page_token=pzz", "page_token"),
        ("limit=1", "limit"),
        ("page_size=1&page_size=2", "page_size"),
    ] {
        let reply = get(&sandbox, &format!("{}?{query}", stocks_path("1"))).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "PARAM_ERROR"), "{query}");
        assert_eq!(reply.json()["detail"]["field"], field, "{query}");
    }
}

#[tokio::test]
async fn the_twenty_first_request_in_a_second_is_too_fast() {
    let sandbox = start(SandboxOptions::default()).await;
    let path = stocks_path("1");
    let calls: Vec<_> = (0..21).map(|_| Call::new(&sandbox, "GET", &path).signed()).collect();
    let mut statuses = Vec::new();
    for call in &calls {
        statuses.push(call.send_as_is().await.unwrap());
    }
    let last = statuses.pop().unwrap();
    assert!(statuses.iter().all(|reply| reply.status == 200));
    assert_eq!((last.status, last.code().as_str()), (429, "RATELIMIT_EXCEEDED"));
    assert_eq!(last.headers["retry-after"], "1");
    assert_eq!(last.number(), 270_924_289);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(get(&sandbox, &path).await.status, 200);
}
