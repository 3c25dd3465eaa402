//! What goes out, and what is made of good answers.

use serde_json::json;

use super::super::client::{Client, ListedStock};
use super::super::error::{ApiError, ClientError, ListProblem};
use super::*;

const PATH: &str = "/brand/marketing/product-coupon/product-coupons/200000001/stocks";

#[tokio::test]
async fn a_request_is_signed_over_exactly_the_path_query_and_body_that_arrive() {
    let server = Server::with(vec![ok()]).await;
    let mut options = options(&server);
    options.base_url = format!("{}/gate%20way/", server.url);
    let client = Client::new(credentials(), options).unwrap();
    let body = r#"{"out_request_no":"cc1-0123","stock":{"remark":"满减"}}"#;
    client.add_stock("200000001", body, &|_| ()).await.unwrap();
    client.get_stock("../x?y#z%2e/满 &", "1").await.unwrap();
    let page = signed(&json!({"stock_list": [], "total_count": 0})).reply();
    let other = Server::with(vec![page]).await;
    super::client(&other).list_stocks("200000001").await.unwrap();

    let seen = [server.seen(), other.seen()].concat();
    assert_eq!(seen[0].method, "POST");
    assert_eq!(seen[0].path_and_query, format!("/gate%20way{PATH}"));
    assert_eq!(seen[0].body, body.as_bytes());
    assert_eq!(seen[0].header("Content-Type"), Some("application/json"));
    assert_eq!(seen[1].method, "GET");
    assert_eq!(
        seen[1].path_and_query,
        "/gate%20way/brand/marketing/product-coupon/product-coupons/\
         ..%2Fx%3Fy%23z%252e%2F%E6%BB%A1%20%26/stocks/1"
    );
    assert_eq!(seen[1].header("Content-Type"), None);
    assert_eq!(seen[2].path_and_query, format!("{PATH}?page_size=50"));
    for request in &seen {
        assert!(request.is_signed(), "{}", request.path_and_query);
        let agent = format!("couponctl/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.header("User-Agent"), Some(agent.as_str()));
        assert_eq!(request.header("Accept"), Some("application/json"));
        assert_eq!(request.header("Wechatpay-Serial"), Some(KEY_ID));
        let authorization = request.authorization();
        assert_eq!(authorization.brand_id, "120344");
        assert_eq!(authorization.serial_no, credentials().certificate_serial_no);
        assert_eq!(authorization.nonce_str.len(), 32);
        assert!((unix_now() - authorization.timestamp).abs() < 60);
    }
}

#[tokio::test]
async fn an_id_that_means_another_path_is_refused_before_anything_is_sent() {
    let server = Server::with(vec![ok()]).await;
    let client = client(&server);
    for id in ["", ".", ".."] {
        let refused = |error| matches!(error, ApiError::BadId { .. });
        assert!(refused(client.get_stock(id, "1").await.unwrap_err()), "{id}");
        assert!(refused(client.get_stock("1", id).await.unwrap_err()), "{id}");
        assert!(refused(client.add_stock(id, "{}", &|_| ()).await.unwrap_err()), "{id}");
        assert!(refused(client.list_stocks(id).await.unwrap_err()), "{id}");
    }
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn an_answer_is_read_without_its_nulls_and_unknown_fields() {
    let mut body = entity();
    body["remark"] = json!(null);
    body["single_usage_rule"]["discount_coupon"] = json!(null);
    body["single_usage_rule"]["exchange_coupon"] = json!({});
    body["coupon_display_info"]["background_color"] = json!("");
    body["of_tomorrow"] = json!({"x": [1]});
    let server = Server::with(vec![signed(&body).reply()]).await;
    let answer = client(&server).get_stock("200000001", "123456789").await.unwrap();
    assert_eq!(&*answer.value.stock_id, "123456789");
    assert_eq!(answer.value.stock.remark, None);
    assert_eq!(answer.value.stock.coupon_display_info.background_color, None);
    assert_eq!(answer.value.stock.single_usage_rule.unwrap().exchange_coupon, None);
    assert_eq!((answer.request_id.as_deref(), answer.attempts), (Some("08F-0"), 1));
}

#[tokio::test]
async fn a_verified_answer_that_does_not_read_keeps_the_ids_and_an_excerpt() {
    let mut strange = entity();
    strange["coupon_code_mode"] = json!("BY_\u{1b}[31mPIGEON");
    let mut bad_id = entity();
    bad_id["stock_id"] = json!("1\u{1b}[2J");
    let text = signed(&json!("pong")).reply();
    let replies = vec![signed(&strange).reply(), signed(&bad_id).reply(), text];
    let server = Server::with(replies).await;
    let client = client(&server);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let error = client.add_stock("200000001", "{}", &|_| ()).await.unwrap_err();
        assert!(error.outcome_unknown());
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
        let ApiError::Unreadable(unreadable) = error else { panic!("{error}") };
        assert!(unreadable.excerpt.chars().count() <= 201, "{}", unreadable.excerpt);
        ids.push((unreadable.product_coupon_id, unreadable.stock_id));
    }
    let coupon = || Some("200000001".to_owned());
    assert_eq!(ids, [(coupon(), Some("123456789".into())), (coupon(), None), (None, None)]);
    assert_eq!(server.seen().len(), 3, "what verifies is not asked for again");
}

#[tokio::test]
async fn all_pages_of_a_list_are_read_and_strange_items_do_not_break_it() {
    let server = Server::by(|number, _| {
        let mut bundled = entity();
        bundled["stock_bundle_info"] = json!({"stock_bundle_id": "7", "stock_bundle_index": 0});
        let mut new = entity();
        new["store_scope"] = json!("MOON");
        let page = match number {
            0 => json!({"stock_list": [entity(), new], "next_page_token": "a/b+c=&d", "total_count": 4}),
            1 => json!({"stock_list": null, "next_page_token": "2"}),
            _ => json!({"stock_list": [bundled, 7], "next_page_token": "", "total_count": 4}),
        };
        signed(&page).reply()
    })
    .await;
    let answer = client(&server).list_stocks("200000001").await.unwrap();
    let ids: Vec<_> = answer
        .value
        .iter()
        .map(|item| match item {
            ListedStock::Read(entity) => ("read", Some(entity.stock_id.to_string())),
            ListedStock::Unread { stock_id, .. } => ("unread", stock_id.clone()),
        })
        .collect();
    let id = || Some("123456789".to_owned());
    assert_eq!(ids, [("read", id()), ("unread", id()), ("unread", id()), ("unread", None)]);
    assert_eq!(answer.attempts, 3);
    let seen = server.seen();
    assert!(seen.iter().all(Seen::is_signed));
    let queries: Vec<_> =
        seen.iter().map(|seen| seen.path_and_query.split_once('?').unwrap().1).collect();
    assert_eq!(
        queries,
        ["page_size=50", "page_size=50&page_token=a%2Fb%2Bc%3D%26d", "page_size=50&page_token=2"]
    );
}

#[tokio::test]
async fn a_list_without_an_end_or_not_whole_is_an_error() {
    let problem = async |server: &Server| match client(server).list_stocks("1").await {
        Err(ApiError::List { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    let token = |number: usize| json!({"stock_list": [], "next_page_token": number.to_string()});
    let circle = Server::by(move |number, _| signed(&token(number % 3)).reply()).await;
    assert_eq!(problem(&circle).await, ListProblem::Circle { page: 4 });
    let endless = Server::by(move |number, _| signed(&token(number)).reply()).await;
    assert_eq!(problem(&endless).await, ListProblem::Endless { pages: 400 });
    let short = signed(&json!({"stock_list": [entity()], "total_count": 2})).reply();
    let short = Server::with(vec![short]).await;
    assert_eq!(problem(&short).await, ListProblem::Incomplete { found: 1, total: 2 });
}

#[test]
fn only_https_and_this_machine_are_addresses_to_send_to() {
    let client = |url: &str| {
        let options = ClientOptions { base_url: url.to_owned(), ..ClientOptions::default() };
        Client::new(credentials(), options)
    };
    for good in [
        "http://127.0.0.1:8080",
        "http://127.9.9.9/path",
        "http://[::1]:80",
        "http://localhost:1",
        "https://localhost/",
    ] {
        assert!(client(good).is_ok(), "{good}");
    }
    for bad in [
        "http://api.mch.weixin.qq.com",
        "http://128.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "https://user:secret@example.com",
        "http://127.0.0.1@example.com",
        "https://example.com/?a=b",
        "https://example.com/#a",
        "ftp://127.0.0.1",
        "api.mch.weixin.qq.com",
        "",
    ] {
        let error = client(bad).unwrap_err();
        assert!(matches!(error, ClientError::Url { setting: "base_url", .. }), "{bad}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let with = |change: &dyn Fn(&mut ClientOptions, &mut Credentials)| {
        let (mut options, mut credentials) = (ClientOptions::default(), credentials());
        change(&mut options, &mut credentials);
        Client::new(credentials, options).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            with(&|options, _| options.requests_per_second = 0),
            with(&|options, _| options.max_attempts = 0),
            with(&|options, _| options.fallback_url = Some("http://example.com".into())),
            with(&|_, credentials| credentials.brand_id.clear()),
            with(&|_, credentials| credentials.certificate_serial_no = "1\"\r\nX: y".into()),
        ]
        .join("\n"),
        @r"
    requests_per_second is 0; it must be at least 1
    max_attempts is 0; it must be at least 1
    fallback_url `http://example.com` is plain http; https is needed, except to this machine (127.0.0.1, [::1], localhost)
    brand_id is empty
    certificate_serial_no holds characters other than letters, digits, `_` and `-`
    "
    );
}

#[test]
fn neither_a_client_nor_its_credentials_show_the_key() {
    let secret = KEYS.0.lines().nth(5).unwrap();
    let shown = format!("{:?}", credentials());
    assert!(shown.contains("PrivateKey(…)") && !shown.contains(secret), "{shown}");
    let client = Client::new(credentials(), ClientOptions::default()).unwrap();
    assert!(!format!("{client:?}").contains(secret));
}
