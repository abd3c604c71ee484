//! Pages on a telephone: whatever people and models wrote stands on them, none is wider than the
//! window.

use super::{bench::Bench, erased_texts::keep};
use crate::{
    browser::sign_in,
    support::{
        app::{TestApp, Worker},
        backups::done,
        browser::Browser,
        builders::add_comparisons,
        database::TestDb,
    },
};
use entity::{account, judgement::JudgementPayload, project};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

const WIDTH: u32 = 390;

/// A word without a blank or a hyphen.
fn long(letter: &str, n: usize) -> String {
    letter.repeat(n)
}

/// Everything with long words that there is; the addresses of its pages.
async fn full_of_long_words(app: &TestApp) -> Vec<String> {
    let name = long("N", 100);
    let project = app.new_project(&name).await;
    let bench = Bench::beside(app, &project).await;
    app.new_account(&project, &long("l", 100), &["annotator", "manager", "engineer"]).await;
    let row = project::ActiveModel {
        id: Set(bench.project),
        guidelines: Set(long("G", 900)),
        ..Default::default()
    };
    row.update(&app.rows).await.unwrap();
    let admin = account::ActiveModel {
        id: Set(bench.person),
        display_name: Set(long("A", 100)),
        ..Default::default()
    };
    admin.update(&app.rows).await.unwrap();
    let prompt = bench.prompt(&long("Q", 900)).await;
    let asked = bench.demonstration(prompt).await;
    let text_hash = keep(&app.rows, &long("W", 900)).await;
    bench
        .say(asked, 1, JudgementPayload::Demonstration { text_hash: text_hash.clone() }, false)
        .await;
    add_comparisons(&app.rows, &project, [1]).await;
    let gone = keep(&app.rows, &long("Z", 900)).await;
    done(&app.database, &["erase", "--text", &gone, "--reason", &long("R", 900), "--yes"]);
    let rows = format!("{{\"prompt\": \"{}\", \"{}\": 1}}\n", long("I", 900), long("F", 300));
    app.admin.bring_in(&project, rows).await;
    let import = entity::import::Entity::find().one(&app.rows).await.unwrap().unwrap();
    let said = entity::judgement::Entity::find().one(&app.rows).await.unwrap().unwrap();
    let who = account::Entity::find().filter(account::Column::Login.eq(long("l", 100)));
    let who = who.one(&app.rows).await.unwrap().unwrap().id;
    let words = long("W", 40);
    vec![
        "/".to_owned(),
        "/settings".to_owned(),
        "/admin/people".to_owned(),
        format!("/admin/people/{who}/erase"),
        "/admin/disk".to_owned(),
        "/admin/audit".to_owned(),
        "/admin/erasures".to_owned(),
        format!("/admin/erasures?words={words}"),
        format!("/admin/erasures?words={}", long("w", 900)),
        format!("/admin/erasures/texts/{text_hash}"),
        format!("/admin/erasures/texts/{gone}"),
        project.clone(),
        format!("{project}/people"),
        format!("{project}/audit"),
        format!("{project}/delete"),
        format!("{project}/prompts"),
        format!("{project}/prompts/{prompt}"),
        format!("{project}/imports/{}", import.id),
        format!("{project}/judgements/{}", said.id),
        format!("{project}/datasets"),
        format!("{project}/demonstrate"),
        format!("{project}/compare"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_wider_than_a_telephone_whatever_stands_on_it_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let site = &app.server.url;
    let pages = full_of_long_words(&app).await;
    sign_in(&browser, site, "admin", app.server.first_password.as_deref().unwrap()).await;
    browser.look_like(WIDTH, 800, false).await;
    let mut too_wide = Vec::new();
    for page in &pages {
        browser.open(&format!("{site}{page}")).await;
        let wide = browser.run("return document.documentElement.scrollWidth").await;
        let wide = wide.as_i64().expect("a number");
        if wide > i64::from(WIDTH) {
            too_wide.push(format!("{page:.60}: {wide} pixels"));
        }
    }
    assert!(too_wide.is_empty(), "wider than {WIDTH}: {too_wide:#?}");
    browser.close().await;
}
