//! `plan --format markdown`, read as GitHub reads it.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::workspace::{Run, Stock, Workspace};

/// What a reader of the page sees.
#[derive(Debug, Default)]
struct Page {
    /// Rows of cells, table by table, heads first.
    tables: Vec<Vec<Vec<String>>>,
    /// Contents of blocks of code.
    blocks: Vec<String>,
    /// HTML, which must be ours.
    html: Vec<String>,
    items: Vec<String>,
    links: usize,
    headings: Vec<String>,
}

fn read(markdown: &str) -> Page {
    let mut page = Page::default();
    let mut text = String::new();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Text(part) | Event::Code(part) => text.push_str(&part),
            Event::SoftBreak => text.push('\n'),
            Event::Html(html) | Event::InlineHtml(html) => page.html.push(html.trim().to_owned()),
            Event::Start(Tag::Table(_)) => page.tables.push(Vec::new()),
            Event::Start(Tag::TableHead | Tag::TableRow) => {
                page.tables.last_mut().unwrap().push(Vec::new());
            }
            Event::Start(Tag::TableCell | Tag::CodeBlock(_) | Tag::Item | Tag::Heading { .. }) => {
                text.clear();
            }
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) => page.links += 1,
            Event::End(TagEnd::TableCell) => {
                let rows = page.tables.last_mut().unwrap();
                rows.last_mut().unwrap().push(std::mem::take(&mut text));
            }
            Event::End(TagEnd::CodeBlock) => page.blocks.push(std::mem::take(&mut text)),
            Event::End(TagEnd::Item) => page.items.push(std::mem::take(&mut text)),
            Event::End(TagEnd::Heading(_)) => page.headings.push(std::mem::take(&mut text)),
            _ => {}
        }
    }
    page
}

fn plan(workspace: &Workspace, more: &[&str]) -> (Run, Page) {
    let run = workspace.run(&[&["plan", "--format", "markdown"], more].concat());
    let page = read(&run.out);
    (run, page)
}

/// Only our own HTML is there, and each part is closed.
fn assert_sound(page: &Page) {
    assert_eq!(page.html[0], "<!-- couponctl plan -->");
    let (mut open, mut closed) = (0, 0);
    for html in &page.html[1..] {
        open += html.matches("<details>").count();
        closed += html.matches("</details>").count();
        let known = html.starts_with("<details><summary>") || html == "</details>";
        assert!(known, "{html}");
    }
    assert_eq!(open, closed);
    assert_eq!(page.links, 0);
}

#[test]
fn a_reviewer_sees_the_counts_the_money_and_the_changes() {
    let workspace = Workspace::with(&["gone", "kept"]);
    workspace.stock("more", &Stock { max_count: 10, ..Stock::default() });
    workspace.apply(&["--sandbox"]).ended(0);
    workspace.remove("stocks/gone.yaml");
    workspace.stock("more", &Stock { max_count: 20, ..Stock::default() });
    workspace.stock("new", &Stock { coupon: "200000009", ..Stock::default() });
    let (run, page) = plan(&workspace, &["--sandbox"]);
    insta::assert_snapshot!("markdown", run.ended(0).out);
    assert_sound(&page);
    assert_eq!(page.headings, ["couponctl: 1 to create, 1 to replace, 1 orphaned, 1 unchanged"]);
    let money = &page.tables[0];
    assert_eq!(money[1], ["200000009", "1", "1,000", "CNY 10,000.00"], "the largest first");
    assert_eq!(money[2], ["200000001", "1", "20", "CNY 200.00"]);
    let changes = &page.tables[1];
    let first_two: Vec<_> = changes[1..].iter().map(|row| row[..2].join(" ")).collect();
    assert_eq!(first_two, ["! orphan gone", "± replace more", "+ create new"]);
    assert!(
        page.blocks[0].contains("-    max_count: 10\n+    max_count: 20\n"),
        "{:?}",
        page.blocks
    );
}

#[test]
fn no_value_becomes_markup() {
    let workspace = Workspace::new();
    let remarks =
        ["满|减`1`", "``|``", "`", "</details><b>@a", "[x](y)\\|", " | ", "<!--", "*_~#@org"];
    let file = |index: usize| match index {
        0 => "stocks/we|ird `name`.yaml".to_owned(),
        1 => "stocks/@octocat #1 <b>.yaml".to_owned(),
        _ => format!("stocks/{index}.yaml"),
    };
    for (index, remark) in remarks.iter().enumerate() {
        let yaml = Stock { remark: "REMARK".into(), ..Stock::default() }
            .yaml(&format!("s{index}"))
            .replace("\"REMARK\"", &format!("'{remark}'"))
            .replace(
                "usage_description: 全场可用",
                "usage_description: \"可用\\n```\\n</details>\\n````x`\"",
            );
        workspace.write(&file(index), yaml);
    }
    workspace.write(
        "couponctl.yaml",
        "brand_id: \"120344\"\nguardrails: { max_count: 1, creates: 0 }\n",
    );
    let (run, page) = plan(&workspace, &[]);
    assert_sound(&page);
    let rows = &page.tables[1][1..];
    assert_eq!(rows.len(), remarks.len(), "{}", run.out);
    for (index, (row, remark)) in rows.iter().zip(remarks).enumerate() {
        assert_eq!(row.len(), 7, "{row:?}");
        // At the ends of a cell, white space does not show.
        assert_eq!(row[2].trim(), remark.trim(), "{}", run.out);
        assert_eq!(row[6], file(index));
    }
    assert_eq!(page.blocks.len(), remarks.len());
    for block in &page.blocks {
        assert!(block.contains("\n+      ```\n+      </details>\n+      ````x`\n"), "{block}");
    }
    assert_eq!(page.items.len(), 1 + remarks.len());
    assert!(
        page.items[0].contains("guardrail creates: the plan makes 8; at most 0 in one run"),
        "{:?}",
        page.items
    );
    assert!(
        page.items[1].contains("s0 (stocks/we|ird `name`.yaml) `max_count` is 1000; at most 1"),
        "{:?}",
        page.items
    );
    assert!(page.headings[0].starts_with('❌'), "{:?}", page.headings);
    assert_eq!(run.status, 1);
}

#[test]
fn problems_come_in_place_of_a_plan() {
    let workspace = Workspace::with(&["a"]);
    workspace.write("stocks/b.yaml", Stock::default().yaml("b").replace("NONE", "SOM`E"));
    let (run, page) = plan(&workspace, &[]);
    assert_sound(&page);
    assert_eq!(run.status, 1);
    assert_eq!(page.headings, ["❌ couponctl: there is no plan"]);
    assert!(page.blocks[1].contains("--> stocks/b.yaml:18:16"), "{:?}", page.blocks);
    // Whatever stops a plan is told on the page.
    workspace.write("couponctl.yaml", "brand: x\n");
    let (run, page) = plan(&workspace, &[]);
    assert!(
        page.blocks[0].contains("couponctl.yaml:1:1: unknown field `brand`"),
        "{:?}",
        page.blocks
    );
    assert_eq!(run.status, 1);
}

#[test]
fn a_large_plan_is_cut_where_it_makes_sense_and_says_what_is_left_out() {
    let workspace = Workspace::new();
    for stocks in [100_usize, 1500] {
        for index in 0..stocks {
            let coupon: &'static str =
                Box::leak(format!("{}", 300_000_000 + index / 100).into_boxed_str());
            workspace.stock(&format!("stock-{index:04}"), &Stock { coupon, ..Stock::default() });
        }
        let (run, page) = plan(&workspace, &[]);
        let run = run.ended(0);
        assert_sound(&page);
        let length = run.out.chars().count();
        assert!(length <= 65_536, "{length}");
        assert!(length > 40_000, "the room is used: {length}");
        assert!(page.tables[1].len() > 90, "{}", page.tables[1].len());
        assert!(page.tables[1].iter().all(|row| row.len() == 7), "no row is cut");
        let shown = page.blocks.len();
        let left = format!("{} differences", stocks - shown);
        let digits: String = run.last_line().chars().filter(|c| *c != ',').collect();
        assert!(digits.contains(&left), "{left}: {}", run.last_line());
        assert_eq!(stocks > 1000, digits.contains(" changes"), "{}", run.last_line());
    }
}
