//! What the endpoints do when all is well, and how a request number makes one stock only.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::*;
use crate::wechatpay::entity::{StockEntity, StockState};

#[tokio::test]
async fn a_stock_is_made_filled_in_signed_and_found_again() {
    let sandbox = start(options()).await;
    let made = add(&sandbox, "request-1").await;
    assert_eq!(made.status, 200, "{made:?}");
    assert!(made.verifies(&sandbox));
    assert_eq!(made.headers["wechatpay-serial"], sandbox.keys().wechatpay_public_key_id);
    assert_eq!(made.number(), 0);
    assert!(made.headers["date"].ends_with("GMT"));
    let entity = made.json();
    assert_eq!(entity["stock_id"], "1000000013001");
    assert_eq!(entity["product_coupon_id"], "1");
    assert_eq!(entity["state"], "SENDING");
    assert_eq!(entity["coupon_display_info"]["background_color"], "Color020");
    assert_eq!(entity["sent_count_info"], json!({ "total_count": 0, "today_count": 0 }));
    assert_eq!(entity.get("coupon_code_count_info"), None);
    let read = get(&sandbox, &format!("{}/1000000013001", stocks_path("1"))).await;
    assert_eq!(read.json(), entity);
    assert_eq!(sandbox.stocks(), [serde_json::from_value::<StockEntity>(entity).unwrap()]);
}

#[tokio::test]
async fn every_vector_of_the_identity_is_made_into_a_stock() {
    let sandbox = start(options()).await;
    let vectors = include_str!("../../../tests/data/identity-vectors.json");
    let vectors: Vec<Value> = serde_json::from_str(vectors).unwrap();
    for vector in &vectors {
        let path = stocks_path(vector["product_coupon_id"].as_str().unwrap());
        let body = serde_json::from_str(vector["request_body"].as_str().unwrap()).unwrap();
        let made = post(&sandbox, &path, &body).await;
        assert_eq!(made.status, 200, "{}: {made:?}", vector["name"]);
    }
    assert_eq!(sandbox.stocks().len(), vectors.len());
}

#[tokio::test]
async fn a_sequential_rule_and_uploaded_codes_get_their_defaults() {
    let sandbox = start(options()).await;
    let mut body = body("request-1");
    let stock = body["stock"].as_object_mut().unwrap();
    let mut rule = stock.remove("single_usage_rule").unwrap();
    let offer = rule.as_object_mut().unwrap().remove("normal_coupon").unwrap();
    rule["normal_coupon_list"] = json!([offer]);
    stock.insert("sequential_usage_rule".into(), rule);
    stock["coupon_code_mode"] = "UPLOAD".into();
    let entity = post(&sandbox, &stocks_path("1"), &body).await.json();
    assert_eq!(entity["sequential_usage_rule"]["special_first"], false);
    let counts = json!({ "total_count": 0, "available_count": 0 });
    assert_eq!(entity["coupon_code_count_info"], counts);
}

#[tokio::test]
async fn the_same_request_gets_the_stock_made_first() {
    let sandbox = start(options()).await;
    let first = add(&sandbox, "request-1").await.json();
    assert_eq!(add(&sandbox, "request-1").await.json(), first);
    // Order and spacing of the body are no part of it.
    let mut call = Call::new(&sandbox, "POST", "").body(&Value::Null);
    let path = stocks_path("1");
    call.path = &path;
    let stock = body("request-1")["stock"].to_string();
    call.body =
        format!("{{ \"stock\": {stock},\n \"out_request_no\": \"request-1\" }}").into_bytes();
    assert_eq!(call.send().await.unwrap().json(), first);
    assert_ne!(add(&sandbox, "request-2").await.json()["stock_id"], first["stock_id"]);
    assert_eq!(sandbox.stocks().len(), 2);
}

#[tokio::test]
async fn the_same_number_for_anything_else_is_refused() {
    let sandbox = start(options()).await;
    let made = add(&sandbox, "request-1").await.json();
    let mut other = body("request-1");
    other["stock"]["remark"] = "other".into();
    for (path, body) in [(stocks_path("1"), &other), (stocks_path("2"), &body("request-1"))] {
        let refused = post(&sandbox, &path, body).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "INVALID_REQUEST"));
        assert!(refused.message().contains("request-1"));
    }
    let refused = deactivate(&sandbox, made["stock_id"].as_str().unwrap(), "request-1").await;
    assert_eq!(refused.code(), "INVALID_REQUEST");
    assert_eq!(sandbox.stocks().len(), 1);
}

#[tokio::test]
async fn the_same_request_many_times_at_once_makes_one_stock() {
    let sandbox = start(options()).await;
    let path = stocks_path("1");
    let calls =
        (0..20).map(|_| Call::new(&sandbox, "POST", &path).body(&body("request-1")).signed());
    let mut streams = Vec::new();
    for call in calls {
        let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
        stream.write_all(&call.bytes()).await.unwrap();
        streams.push(stream);
    }
    for mut stream in streams {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(Reply::read(&bytes).unwrap().json()["stock_id"], "1000000013001");
    }
    assert_eq!(sandbox.stocks().len(), 1);
}

#[tokio::test]
async fn a_deactivated_stock_stays_so_and_is_answered_again_by_its_number() {
    let sandbox = start(options()).await;
    let made = add(&sandbox, "request-1").await.json();
    let id = made["stock_id"].as_str().unwrap();
    let off = deactivate(&sandbox, id, "off-1234").await;
    assert_eq!(off.status, 200, "{off:?}");
    let off = off.json();
    assert_eq!(off["state"], "DEACTIVATED");
    assert_eq!(off["deactivate_request_no"], "off-1234");
    assert_eq!(off["deactivate_reason"], "批次信息有误");
    assert_eq!(off["deactivate_time"].as_str().unwrap().len(), "2025-01-01T00:00+08:00".len());
    assert_eq!(deactivate(&sandbox, id, "off-1234").await.json(), off);
    assert_eq!(deactivate(&sandbox, id, "off-5678").await.code(), "INVALID_REQUEST");
    assert_eq!(add(&sandbox, "request-1").await.json(), off);
}

#[tokio::test]
async fn a_stock_is_stopped_once_its_end_is_past() {
    let (clock, seconds) = settable_clock();
    let sandbox = start(SandboxOptions { clock, ..options() }).await;
    add(&sandbox, "request-1").await;
    let end: Timestamp = "2099-02-28T23:59:59+08:00".parse().unwrap();
    seconds.store(end.as_second() - 1, Ordering::SeqCst);
    assert_eq!(sandbox.stocks()[0].state, StockState::Sending);
    seconds.store(end.as_second(), Ordering::SeqCst);
    assert_eq!(add(&sandbox, "request-1").await.json()["state"], "STOPPED");
    let refused = deactivate(&sandbox, "1000000013001", "off-1234").await;
    assert_eq!(refused.code(), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_product_coupon_takes_two_hundred_live_stocks_and_others_do_not_count() {
    let sandbox = start(options()).await;
    for number in 0..200 {
        assert_eq!(add(&sandbox, &format!("request-{number}")).await.status, 200);
    }
    let refused = add(&sandbox, "request-200").await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "INVALID_REQUEST"));
    assert!(refused.message().contains("200 live stocks"));
    assert_eq!(add(&sandbox, "request-7").await.status, 200, "a known one is still answered");
    assert_eq!(post(&sandbox, &stocks_path("2"), &body("other-1")).await.status, 200);
    deactivate(&sandbox, "1000000013001", "off-1234").await;
    assert_eq!(add(&sandbox, "request-200").await.status, 200);
    assert_eq!(add(&sandbox, "request-201").await.status, 400);
}

#[tokio::test]
async fn a_hundred_and_twenty_stocks_are_listed_once_each_in_order() {
    let sandbox = start(options()).await;
    for number in 0..120 {
        add(&sandbox, &format!("request-{number}")).await;
    }
    post(&sandbox, &stocks_path("2"), &body("other-1")).await;
    let mut ids = Vec::new();
    let mut sizes = Vec::new();
    let mut path = format!("{}?page_size=50", stocks_path("1"));
    loop {
        let page = get(&sandbox, &path).await;
        assert!(page.verifies(&sandbox));
        let page = page.json();
        assert_eq!(page["total_count"], 120);
        let list = page["stock_list"].as_array().unwrap();
        sizes.push(list.len());
        ids.extend(list.iter().map(|stock| stock["stock_id"].as_str().unwrap().to_owned()));
        let Some(token) = page.get("next_page_token") else { break };
        // One that is made between two pages comes at the end.
        if sizes.len() == 1 {
            deactivate(&sandbox, &ids[0], "off-1234").await;
        }
        let token = token.as_str().unwrap();
        path = format!("{}?page_size=50&page_token={token}", stocks_path("1"));
    }
    assert_eq!(sizes, [50, 50, 20]);
    let expected: Vec<_> =
        (0..120).map(|place| (1_000_000_013_001_u64 + place).to_string()).collect();
    assert_eq!(ids, expected);
    let first = get(&sandbox, &stocks_path("1")).await.json();
    assert_eq!(first["stock_list"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn a_list_can_be_of_one_state_and_is_empty_for_a_bundle() {
    let sandbox = start(options()).await;
    for number in 0..3 {
        add(&sandbox, &format!("request-{number}")).await;
    }
    deactivate(&sandbox, "1000000013002", "off-1234").await;
    for (query, count) in [
        ("state=SENDING", 2),
        ("state=DEACTIVATED", 1),
        ("state=PAUSED", 0),
        ("stock_bundle_id=1", 0),
        ("state=SENDING&page_size=1", 2),
    ] {
        let page = get(&sandbox, &format!("{}?{query}", stocks_path("1"))).await.json();
        assert_eq!(page["total_count"], count, "{query}");
    }
}
