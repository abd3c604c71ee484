//! Whatever anybody sends: every route × every field × hostile values, against the real server on
//! both databases. Nothing fails (5xx), nothing hangs. Routes are the app's own list and fields those
//! of the pages' forms, so that a new form is here by itself.
//!
//! `ATTUNE_FUZZ=900` goes on for so many seconds on each database; `ATTUNE_FUZZ_SEED` repeats the
//! order and the mixtures.

mod site;
mod values;

use crate::support::{
    database::{TestDb, on_both_databases},
    dice::Dice,
    web::Visitor,
};
use futures_util::{StreamExt, stream};
use site::{BodyKind, FuzzSite, Target, placeholder};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::RwLock;
use values::HostileValue;

/// After this long an answer will not come. A megabyte in a debug build takes its time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Requests at a time.
const AT_ONCE: usize = 6;

/// What every field gets before the time may be up: byte 0, and what no index takes.
const FIRST: [&str; 2] = [" = \"Other\\0\"", " = 9,000 random letters"];

/// One request.
#[derive(Clone, Debug)]
struct Execution {
    target: usize,
    said: String,
    path: String,
    kind: Option<String>,
    body: Vec<u8>,
}

/// What is done to one field.
#[derive(Clone, Copy, Debug)]
enum Deed<'a> {
    Set(&'a HostileValue),
    Missing,
    Twice(&'a HostileValue),
}

fn seconds() -> u64 {
    std::env::var("ATTUNE_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    std::env::var("ATTUNE_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(now)
}

/// The body of a form with some fields changed.
fn form_body(target: &Target, deeds: &[(usize, Deed)]) -> (Option<String>, Vec<u8>) {
    let mut fields: Vec<(String, HostileOrPlain)> = Vec::new();
    for (at, (name, value)) in target.fields.iter().enumerate() {
        let plain =
            || HostileOrPlain(values::percent_encoded(value.as_bytes()), value.as_bytes().to_vec());
        let hostile =
            |value: &HostileValue| HostileOrPlain(value.encoded.clone(), value.bytes.clone());
        match deeds.iter().find(|(field, _)| *field == at).map(|(_, deed)| *deed) {
            None => fields.push((name.clone(), plain())),
            Some(Deed::Missing) => {}
            Some(Deed::Set(value)) => fields.push((name.clone(), hostile(value))),
            Some(Deed::Twice(value)) => {
                fields.push((name.clone(), plain()));
                fields.push((name.clone(), hostile(value)));
            }
        }
    }
    match target.body {
        BodyKind::Form => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| {
                    format!("{}={}", values::percent_encoded(name.as_bytes()), value.0)
                })
                .collect();
            (Some("application/x-www-form-urlencoded".to_owned()), fields.join("&").into_bytes())
        }
        BodyKind::Multipart => {
            let mut body = Vec::new();
            for (name, value) in &fields {
                let head = format!(
                    "--boundary\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"a.jsonl\"\r\n\r\n"
                );
                body.extend([head.as_bytes(), &value.1, b"\r\n"].concat());
            }
            body.extend(b"--boundary--\r\n");
            (Some("multipart/form-data; boundary=boundary".to_owned()), body)
        }
        BodyKind::Json => {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), String::from_utf8_lossy(&value.1).into()));
            let json = serde_json::Value::Object(fields.collect());
            (Some("application/json".to_owned()), json.to_string().into_bytes())
        }
    }
}

/// A value for an address, and for a body.
struct HostileOrPlain(String, Vec<u8>);

/// Every field of every form with every value, and bodies that are no forms.
fn into_forms(site: &FuzzSite, values: &[HostileValue]) -> Vec<Execution> {
    let mut all = Vec::new();
    for (at, target) in
        site.targets.iter().enumerate().filter(|(_, target)| target.method == "post")
    {
        let mut add = |said: String, path: &str, (kind, body): (Option<String>, Vec<u8>)| {
            all.push(Execution { target: at, said, path: path.to_owned(), kind, body });
        };
        for (field, (name, _)) in target.fields.iter().enumerate() {
            let one = |deed| form_body(target, &[(field, deed)]);
            add(format!("{name} missing"), &target.path, one(Deed::Missing));
            for value in values {
                add(format!("{name} = {}", value.name), &target.path, one(Deed::Set(value)));
            }
            add(format!("{name} twice"), &target.path, one(Deed::Twice(&values[0])));
        }
        for value in values.iter().filter(|value| value.bytes.len() < 20_000) {
            for kind in [
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=b",
                "multipart/form-data",
                "application/json",
                "text/\u{1}",
            ] {
                let kind =
                    reqwest::header::HeaderValue::from_str(kind).is_ok().then(|| kind.to_owned());
                add(format!("body {}", value.name), &target.path, (kind, value.bytes.clone()));
            }
        }
    }
    all
}

/// Every id and every parameter of every address with every value that fits into one.
fn into_addresses(site: &FuzzSite, values: &[HostileValue]) -> Vec<Execution> {
    let mut all = Vec::new();
    for (at, target) in site.targets.iter().enumerate() {
        let (kind, body) =
            if target.method == "post" { form_body(target, &[]) } else { (None, Vec::new()) };
        let mut add = |said: String, path: String| {
            all.push(Execution { target: at, said, path, kind: kind.clone(), body: body.clone() });
        };
        let names: Vec<_> = target
            .route
            .split('/')
            .filter_map(placeholder)
            .map(|(_, name, _)| name.to_owned())
            .collect();
        for value in values.iter().filter(|value| value.encoded.len() < 8000) {
            for name in &names {
                let path = site.fill(&target.route, Some((name, &value.encoded)));
                add(format!("{{{name}}} = {}", value.name), path);
            }
            if target.method == "get" {
                for name in &site.parameters {
                    add(
                        format!("?{name} = {}", value.name),
                        format!("{}?{name}={}", target.path, value.encoded),
                    );
                }
            }
        }
    }
    all
}

/// Several fields at once with mixtures of the values.
fn any(site: &FuzzSite, values: &[HostileValue], dice: &mut Dice) -> Execution {
    let forms: Vec<usize> =
        (0..site.targets.len()).filter(|at| !site.targets[*at].fields.is_empty()).collect();
    let at = forms[dice.below(forms.len())];
    let target = &site.targets[at];
    let mixed: Vec<_> = target.fields.iter().map(|_| HostileValue::mixed(values, dice)).collect();
    let mut deeds = Vec::new();
    for (field, value) in mixed.iter().enumerate() {
        match dice.below(6) {
            0 => deeds.push((field, Deed::Missing)),
            1 => deeds.push((field, Deed::Twice(value))),
            2 | 3 => deeds.push((field, Deed::Set(value))),
            _ => {}
        }
    }
    let (kind, body) = form_body(target, &deeds);
    Execution { target: at, said: format!("{deeds:?}"), path: target.path.clone(), kind, body }
}

/// Who sends, and what came of it.
struct Fuzzer<'a> {
    site: &'a FuzzSite,
    token: RwLock<String>,
    statuses: Mutex<BTreeMap<u16, usize>>,
    findings: Mutex<Vec<String>>,
}

impl Fuzzer<'_> {
    async fn send(&self, execution: &Execution) {
        let target = &self.site.targets[execution.target];
        let token = self.token.read().await.clone();
        // What signs in or out does it as somebody who has nothing to lose.
        let is_session = target.route.starts_with("/sign-") || target.route == "/welcome";
        let sender = if is_session {
            Visitor::new(&self.site.app.server.url)
        } else {
            self.site.app.admin.clone()
        };
        let token = if is_session { sender.token().await } else { token };
        let what = || format!("{} {} with {:.200}", target.method, target.route, execution.said);
        let sent = sender.send_raw(
            target.method,
            &execution.path,
            &token,
            execution.kind.as_deref(),
            execution.body.clone(),
        );
        let Ok(answer) = tokio::time::timeout(PATIENCE, sent).await else {
            self.findings.lock().unwrap().push(format!("hangs: {}", what()));
            return;
        };
        let (status, leads_to) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.findings.lock().unwrap().push(format!("breaks off ({error}): {}", what()));
                return;
            }
        };
        *self.statuses.lock().unwrap().entry(status).or_default() += 1;
        // There is no trainer that talks, and a database that is this busy is not ready: both are said.
        let says_so = ["/chat/completions", "/ready"];
        let is_off = status == 503 && says_so.iter().any(|end| target.route.ends_with(end));
        if status >= 500 && !is_off {
            self.findings.lock().unwrap().push(format!("{status}: {}", what()));
        }
        let is_out = leads_to.is_some_and(|to| to.starts_with("/sign-in"));
        if !is_session && (is_out || status == 400) {
            self.come_back(&token).await;
        }
    }

    /// Signs in again where something ended the session.
    async fn come_back(&self, before: &str) {
        let mut token = self.token.write().await;
        let admin = &self.site.app.admin;
        if *token != before {
            return;
        }
        // A connection that was idle may end just when it is used again.
        let page = match admin.reach("/settings").await {
            Some(page) => page,
            None => admin.try_get("/settings").await,
        };
        if page.url.path() != "/settings" {
            admin.sign_in("admin", &self.site.password).await;
            *token = admin.token().await;
        }
    }

    /// Sends until there is nothing left to send or the time is up; how many were sent.
    async fn send_all(&self, executions: impl Iterator<Item = Execution>, until: Instant) -> usize {
        let in_time = executions.take_while(|_| Instant::now() < until);
        let sent =
            stream::iter(in_time).map(|execution| async move { self.send(&execution).await });
        sent.buffer_unordered(AT_ONCE).count().await
    }
}

async fn fuzz(database: TestDb) {
    let (seed, until) = (seed(), Duration::from_secs(seconds()));
    let name = if database.url.starts_with("sqlite") { "SQLite" } else { "PostgreSQL" };
    println!("ATTUNE_FUZZ_SEED={seed} ({name})");
    let site = FuzzSite::open(database).await;
    let until = Instant::now() + until;
    let mut dice = Dice::new(seed);
    let values = values::all(&mut dice);
    let mut executions = into_forms(&site, &values);
    executions.extend(into_addresses(&site, &values));
    dice.shuffle(&mut executions);
    // What a database refuses first, so that the short run has it in every field.
    executions.sort_by_key(|execution| !FIRST.iter().any(|end| execution.said.ends_with(end)));
    let n_known = executions.len();
    let token = RwLock::new(site.app.admin.token().await);
    let fuzzer =
        Fuzzer { site: &site, token, statuses: Mutex::default(), findings: Mutex::default() };
    let mut n_sent = fuzzer.send_all(executions.into_iter(), until).await;
    n_sent +=
        fuzzer.send_all(std::iter::repeat_with(|| any(&site, &values, &mut dice)), until).await;
    let statuses = fuzzer.statuses.into_inner().unwrap();
    println!("{name}: {n_sent} executions ({n_known} of one value each), by status {statuses:?}");
    let findings = fuzzer.findings.into_inner().unwrap();
    let log = site.app.server.log();
    assert!(
        findings.is_empty(),
        "seed {seed}: {} findings: {:#?}\n{log}",
        findings.len(),
        &findings[..findings.len().min(40)]
    );
    assert!(!log.contains("panicked"), "seed {seed}:\n{log}");
    site.app.admin.get("/settings").await;
    site.app.forget_runs().await;
}

on_both_databases! {
    async fn nothing_that_anybody_sends_makes_the_server_fail(database: TestDb) {
        fuzz(database).await;
    }
}

/// A form that no page shows and no script is known to send would be fuzzed without its fields.
#[tokio::test(flavor = "multi_thread")]
async fn the_fields_of_every_form_are_found() {
    let site = FuzzSite::open(TestDb::sqlite().await).await;
    let fields = |route: &str| -> Vec<String> {
        let of_route =
            site.targets.iter().filter(|target| target.method == "post" && target.route == route);
        of_route.flat_map(|target| target.fields.iter().map(|(name, _)| name.clone())).collect()
    };
    for (route, expected) in [
        ("/sign-in", &["login", "password", "next"][..]),
        ("/welcome", &["key", "new", "again"]),
        ("/projects/{project}/settings", &["guidelines", "overlap"]),
        ("/projects/{project}/people", &["login", "name", "role"]),
        (
            "/projects/{project}/tasks/{assignment}",
            &["answer", "choice", "rationale", "idempotency_key"],
        ),
        ("/projects/{project}/tasks/{assignment}/draft", &["answer"]),
        ("/projects/{project}/tasks/{assignment}/skip", &["reason", "note"]),
        (
            "/projects/{project}/runs/new/{kind}",
            &["model", "dataset", "learning_rate", "temperature", "cliprange"],
        ),
        ("/projects/{project}/models/{model}/chat", &["message", "turns"]),
    ] {
        let found = fields(route);
        let missing: Vec<_> =
            expected.iter().filter(|name| !found.iter().any(|field| field == *name)).collect();
        assert!(missing.is_empty(), "{route} has no {missing:?}, only {found:?}");
    }
}
