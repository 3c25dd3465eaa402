//! What outlives a sandbox, where it may listen, and what others can check.

use std::fs;
use std::path::PathBuf;

use super::super::SandboxError;
use super::*;

fn kept_in(folder: &tempfile::TempDir) -> SandboxOptions {
    SandboxOptions { state_file: Some(folder.path().join("home/state.jsonl")), ..options() }
}

#[tokio::test]
async fn stocks_request_numbers_and_keys_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(kept_in(&folder)).await;
    let first = add(&sandbox, "request-1").await.json();
    add(&sandbox, "request-2").await;
    deactivate(&sandbox, "1000000013002", "off-1234").await;
    let (stocks, environment) = (sandbox.stocks(), sandbox.environment());
    sandbox.stop().await;

    let sandbox = start(kept_in(&folder)).await;
    assert_eq!(sandbox.stocks(), stocks);
    // All but the addresses.
    assert_eq!(sandbox.environment()[2..], environment[2..]);
    assert_eq!(add(&sandbox, "request-1").await.json(), first);
    assert_eq!(add(&sandbox, "request-2").await.json()["state"], "DEACTIVATED");
    assert_eq!(add(&sandbox, "request-3").await.json()["stock_id"], "1000000013003");
}

#[tokio::test]
async fn a_stock_whose_line_was_cut_off_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = kept_in(&folder);
    let file = options.state_file.clone().unwrap();
    let sandbox = start(options.clone()).await;
    add(&sandbox, "request-1").await;
    add(&sandbox, "request-2").await;
    drop(sandbox);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 7]).unwrap();
    let sandbox = start(options).await;
    assert_eq!(sandbox.stocks().len(), 1);
    assert_eq!(add(&sandbox, "request-2").await.json()["stock_id"], "1000000013002");
}

#[tokio::test]
async fn a_state_that_contradicts_itself_is_named_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let options = kept_in(&folder);
    let file = options.state_file.clone().unwrap();
    let sandbox = start(options.clone()).await;
    add(&sandbox, "request-1").await;
    drop(sandbox);
    let text = fs::read_to_string(&file).unwrap();
    let made = text.lines().nth(1).unwrap();
    fs::write(&file, format!("{text}{made}\n")).unwrap();
    let error = Sandbox::start(options).await.unwrap_err().to_string();
    assert!(error.contains("line 3: the stock id was there before"), "{error}");
}

#[tokio::test]
async fn a_state_is_held_by_one_sandbox_until_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = start(kept_in(&folder)).await;
    let error = Sandbox::start(kept_in(&folder)).await.unwrap_err();
    assert!(matches!(error, SandboxError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("state.jsonl is in use by another sandbox"));
    drop(sandbox);
    start(kept_in(&folder)).await;
}

#[cfg(unix)]
#[tokio::test]
async fn private_keys_can_be_read_by_their_owner_alone_and_public_output_holds_none() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    for options in [options(), kept_in(&folder)] {
        let sandbox = start(options).await;
        let environment = sandbox.environment();
        let value = |name: &str| environment.iter().find(|(n, _)| n == name).unwrap().1.clone();
        let key = PathBuf::from(value("COUPONCTL_PRIVATE_KEY_FILE"));
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let keys = key.parent().unwrap();
        assert_eq!(fs::metadata(keys).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(&key).unwrap(), *sandbox.keys().private_key_pem);
        let public = fs::read_to_string(value("COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE")).unwrap();
        assert_eq!(public, sandbox.keys().wechatpay_public_key_pem);
        assert_eq!(value("COUPONCTL_BASE_URL"), sandbox.base_url());
        assert!(
            !format!("{sandbox:?} {:?} {environment:?}", sandbox.keys()).contains("PRIVATE KEY")
        );
    }
}

#[tokio::test]
async fn a_damaged_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = kept_in(&folder);
    drop(start(options.clone()).await);
    let key = folder.path().join("home/state.jsonl.keys/apiclient_key.pem");
    fs::write(&key, "rubbish").unwrap();
    let error = Sandbox::start(options).await.unwrap_err().to_string();
    assert!(error.contains("apiclient_key.pem: it is not PEM text"), "{error}");
}

#[tokio::test]
async fn it_listens_on_this_machine_only_and_says_when_a_port_is_taken() {
    let on = |listen: &str| SandboxOptions { listen: listen.parse().unwrap(), ..options() };
    let error = Sandbox::start(on("0.0.0.0:0")).await.unwrap_err().to_string();
    assert!(error.contains("loopback") && error.contains("0.0.0.0:0"), "{error}");
    let sandbox = start(on("127.0.0.1:0")).await;
    let taken = Sandbox::start(on(&sandbox.address().to_string())).await.unwrap_err().to_string();
    assert!(taken.contains("the port is in use"), "{taken}");
    let address = sandbox.address().to_string();
    sandbox.stop().await;
    start(on(&address)).await;
}

#[tokio::test]
async fn a_stop_lets_a_request_under_way_finish() {
    let sandbox = start_with_faults(&["slow=1:300ms"]).await;
    let path = stocks_path("1");
    let call = Call::new(&sandbox, "POST", &path).body(&body("request-1")).signed();
    let (bytes, address) = (call.bytes(), sandbox.address());
    let asked = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Reply::read(&answer).unwrap().status
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    sandbox.stop().await;
    assert_eq!(asked.await.unwrap(), 200);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_is_recorded_verifies_with_the_recorded_key() {
    use base64::Engine as _;
    let folder = tempfile::tempdir().unwrap();
    let record = Some(folder.path().join("requests"));
    let sandbox = start(SandboxOptions { record: record.clone(), ..options() }).await;
    add(&sandbox, "request-1").await;
    get(&sandbox, &stocks_path("1")).await;
    let read = |name: &str| fs::read(record.as_ref().unwrap().join(name)).unwrap();
    let key = String::from_utf8(read("brand_public_key.pem")).unwrap();
    let key = PublicKey::from_pem(&key).unwrap();
    for number in 1..=2 {
        let signature = read(&format!("{number}.signature"));
        assert_eq!(signature.len(), 256);
        let signature = base64::engine::general_purpose::STANDARD.encode(signature);
        assert!(key.verify(&read(&format!("{number}.message")), &signature));
    }
    let message = String::from_utf8(read("2.message")).unwrap();
    assert!(message.starts_with(&format!("GET\n{}\n", stocks_path("1"))));
}
