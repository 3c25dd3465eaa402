//! `couponctl adopt`: a stock that exists already becomes the stock of a file.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::network::{Connection, SandboxFlags, runtime, until_done};
use super::terminal::Terminal;
use super::workspace::Workspace;
use super::{Ended, Global, SettingFlags, Status, workspace};
use crate::apply::timestamp;
use crate::desired::DesiredStock;
use crate::identity::{ContentSha256, OutRequestNo, StockName, canonical_stock};
use crate::lockfile::Made;
use crate::lockfile::hold::Hold;
use crate::lockfile::journal::{Closed, Record};
use crate::render::plain;
use crate::wechatpay::content;
use crate::wechatpay::stock::Stock;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl adopt spring-100-minus-10 1000000013001")]
pub struct AdoptArgs {
    /// The name of a stock file's document
    name: String,
    /// The id that WeChat Pay gave the stock
    stock_id: String,
    /// Record it though its content differs from the file's
    #[arg(long)]
    force: bool,
    /// How long to wait for an apply on this workspace to end
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    lock_timeout: u64,
    #[command(flatten)]
    sandbox: SandboxFlags,
    #[command(flatten)]
    settings: SettingFlags,
}

pub fn run(terminal: &Terminal, global: &Global, args: AdoptArgs) -> Ended {
    let AdoptArgs { name, stock_id, force, lock_timeout, sandbox, settings } = args;
    let workspace = workspace::open(terminal, &settings.with(global))?;
    let config = &workspace.config;
    let hold = workspace.hold(sandbox.sandbox, Duration::from_secs(lock_timeout))?;
    let asked = match asked(&workspace, &hold, &name) {
        Ok(asked) => asked,
        Err(error) => {
            hold.finish(|_| {})?;
            return Err(error);
        }
    };
    let work = async {
        let connection = Connection::open(terminal, config, &sandbox).await?;
        let client = &connection.client;
        let call = client.get_stock(&asked[0].product_coupon_id, &stock_id);
        let (answer, signal) = until_done(terminal, client, call).await;
        let entity = match answer {
            Ok(answer) => answer.value,
            Err(error) => bail!("{error}\n  {}", error.advice()),
        };
        if let Some(signal) = signal {
            return Ok(Err(signal));
        }
        if *entity.stock_id != *stock_id {
            bail!("the API answered with stock {}; nothing was recorded", plain(&entity.stock_id));
        }
        let differences =
            |asked: &Asked| content::differences((&asked.product_coupon_id, &asked.stock), &entity);
        let fits = asked.iter().find(|asked| differences(asked).is_empty());
        let asked = fits.unwrap_or(&asked[0]);
        let differences = differences(asked);
        for difference in &differences {
            terminal.warn(&difference.to_string());
        }
        if !entity.state.is_live() {
            terminal.warn(&format!(
                "stock {} is {}: it hands out nothing",
                plain(&stock_id),
                entity.state
            ));
        }
        if (!differences.is_empty() || !entity.state.is_live()) && !force {
            bail!(
                "this is not the stock that the file asks for; give `--force` to record it all the same. Nothing was recorded"
            );
        }
        // The request that was open for this name and content is answered by a person now. One for
        // other content made another stock, if any: the next apply finds out.
        for intent in
            hold.open.iter().filter(|intent| intent.out_request_no == asked.out_request_no)
        {
            let number = intent.out_request_no.clone();
            let reason = format!("stock {} was adopted", plain(&stock_id));
            let closed = Record::Closed(Closed { out_request_no: number, reason });
            hold.appender().append(&closed).await.context("the journal cannot be written")?;
        }
        Ok(Ok(Made {
            name: asked.name.clone(),
            product_coupon_id: asked.product_coupon_id.clone(),
            stock_id: stock_id.clone(),
            out_request_no: asked.out_request_no.clone(),
            generation: asked.generation,
            content_sha256: asked.content_sha256.clone(),
            created_at: timestamp(Timestamp::now()),
            stock: RawValue::from_string(canonical_stock(&asked.stock))?,
        }))
    };
    let result = runtime()?.block_on(work);
    let mut taken = None;
    let mut adopted = false;
    let status = match result {
        Ok(Ok(made)) => {
            hold.finish(|lock| {
                let mut holders = lock.holders();
                match lock.record(made, &mut holders) {
                    Ok(()) => adopted = true,
                    Err(error) => taken = Some(error),
                }
            })?;
            Status::Done
        }
        Ok(Err(signal)) => {
            hold.finish(|_| {})?;
            Status::Signalled(signal.0)
        }
        Err(error) => {
            hold.finish(|_| {})?;
            return Err(error);
        }
    };
    if let Some(error) = taken {
        bail!("{error}; one stock cannot stand for two names");
    }
    if adopted {
        terminal.result(&format!("{name}: stock {} adopted.\n", plain(&stock_id)))?;
    }
    Ok(status)
}

/// What a stock may be recorded for.
struct Asked {
    name: StockName,
    product_coupon_id: String,
    generation: i64,
    content_sha256: ContentSha256,
    out_request_no: OutRequestNo,
    stock: Arc<Stock>,
}

/// What a file asks for under a name; where none does, what open requests of the name asked for: at
/// least one.
fn asked(workspace: &Workspace, hold: &Hold, name: &str) -> Result<Vec<Asked>> {
    if let Some(desired) = workspace.stocks.iter().find(|stock| stock.name.as_str() == name) {
        let DesiredStock { name, generation, content_sha256, .. } = &**desired;
        let brand_id = &workspace.config.brand_id;
        return Ok(vec![Asked {
            name: name.clone(),
            product_coupon_id: desired.product_coupon_id.clone(),
            generation: *generation,
            content_sha256: content_sha256.clone(),
            out_request_no: OutRequestNo::derive(
                brand_id,
                name.as_str(),
                *generation,
                content_sha256,
            ),
            stock: Arc::clone(&desired.stock),
        }]);
    }
    let open = hold.open.iter().filter(|intent| intent.name.as_str() == name);
    let asked: Vec<_> = open
        .map(|intent| {
            Ok(Asked {
                name: intent.name.clone(),
                product_coupon_id: intent.product_coupon_id.clone(),
                generation: intent.generation,
                content_sha256: intent.content_sha256.clone(),
                out_request_no: intent.out_request_no.clone(),
                stock: Arc::new(serde_json::from_str(intent.stock.get())?),
            })
        })
        .collect::<Result<_>>()?;
    if asked.is_empty() {
        let names = workspace.stocks.iter().map(|stock| stock.name.as_str());
        let near = crate::validate::rule::nearest(name, names);
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("no file asks for a stock named `{}`{near}", plain(name));
    }
    Ok(asked)
}
