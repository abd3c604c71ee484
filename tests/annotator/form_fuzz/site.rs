//! A furnished server, and where in it there is something to send: every route of the app's own
//! list, with the fields of the forms that its pages show.

use super::values::percent_encoded;
use crate::support::{
    app::{Server, TestApp, Worker},
    builders::{add_comparisons, add_frozen_judgement, add_model, add_run},
    database::TestDb,
    web::Visitor,
};
use entity::{account, ids::ProjectId, run};
use reqwest::Url;
use scraper::{ElementRef, Html, Selector};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use storage::artifact_store::ArtifactStore;

/// Pages of one route that are looked at: forms differ by kind, not by object.
const PAGES_OF_A_ROUTE: usize = 6;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    Form,
    Multipart,
    Json,
}

/// A route with an address of it, and what a page would send there.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) method: &'static str,
    pub(super) route: String,
    pub(super) path: String,
    pub(super) body: BodyKind,
    pub(super) fields: Vec<(String, String)>,
}

/// What scripts send that stands in no form: to a POST as JSON, to a GET as parameters.
const OF_SCRIPTS: [(&str, &[&str]); 3] = [
    (
        "/projects/{project}/models/{model}/v1/chat/completions",
        &["model", "messages", "stream", "max_tokens", "temperature"],
    ),
    ("/projects/{project}/runs/{run}/events", &["after"]),
    ("/projects/{project}/tasks/{assignment}/draft", &["quiet"]),
];

pub(super) struct FuzzSite {
    pub(super) app: TestApp,
    pub(super) password: String,
    pub(super) targets: Vec<Target>,
    /// Names of parameters that some address of a page has.
    pub(super) parameters: BTreeSet<String>,
    /// An address of each route that some page links to.
    linked: BTreeMap<String, String>,
    /// What stands for each placeholder.
    known: BTreeMap<String, Vec<String>>,
}

impl FuzzSite {
    /// A server with one object of every sort, seen by somebody who may do everything.
    pub(super) async fn open(database: TestDb) -> Self {
        let (app, password) = start(database).await;
        let project = app.new_project("Fuzzed").await;
        let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
        let store = ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap();
        add_frozen_judgement(&app.rows, &store, id, "frozen").await;
        for name in ["first", "second", "third"] {
            add_model(&app.rows, &store, id, name).await;
        }
        let failed = add_run(&app.rows, id).await;
        let failed = run::ActiveModel {
            id: Set(failed),
            status: Set(run::RunStatus::Failed),
            ..Default::default()
        };
        failed.update(&app.rows).await.unwrap();
        add_run(&app.rows, id).await;
        app.add_prompts(&project, (0..200).map(|n| format!("Question {n}?"))).await;
        app.admin.send_rows(&project, "{\"prompt\": \"From a file?\"}\n", &[]).await;
        add_comparisons(&app.rows, &project, [3; 100]).await;
        app.new_account(&project, "bystander", &["annotator", "manager", "engineer"]).await;
        let mine =
            account::Entity::find().filter(account::Column::Login.eq("admin")).one(&app.rows);
        let me = mine.await.unwrap().unwrap().id.to_string();
        let (targets, parameters) = (Vec::new(), BTreeSet::new());
        let mut site = Self {
            app,
            password,
            targets,
            parameters,
            known: BTreeMap::new(),
            linked: BTreeMap::new(),
        };
        let link = site.invitation().await;
        site.look_around(&project, &link, &me).await;
        site.add_what_no_page_shows();
        site
    }

    /// The link of somebody who has not come yet.
    async fn invitation(&self) -> String {
        let form = self.app.admin.get("/admin/people").await.form("/admin/people");
        let page = self.app.admin.submit(form.with("login", "guest").with("name", "Guest")).await;
        let link: Url = page.secret().parse().expect("a link");
        format!("{}?{}", link.path(), link.query().unwrap_or_default())
    }

    /// Follows the links of all pages and takes down their forms.
    async fn look_around(&mut self, project: &str, link: &str, me: &str) {
        let routes = annotator::routes::all();
        let [write, compare] = ["demonstrate", "compare"].map(|kind| format!("{project}/{kind}"));
        let starts = ["/sign-in", link, "/", project, &write, &compare];
        let mut waiting: VecDeque<String> = starts.map(str::to_owned).into();
        let (mut seen, mut n_looked_at) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
        while let Some(path) = waiting.pop_front() {
            let bare = path.split('?').next().unwrap_or_default();
            let is_at = |route: &str| bind(route, bare).is_some();
            let route = routes.iter().find(|(method, route)| *method == "get" && is_at(route));
            let Some(route) = route else { continue };
            self.linked.entry(route.1.clone()).or_insert_with(|| bare.to_owned());
            let n = n_looked_at.entry(route.1.clone()).or_default();
            *n += 1;
            if *n > PAGES_OF_A_ROUTE
                || route.1.ends_with("/download")
                || route.1.ends_with("/events")
            {
                continue;
            }
            let stranger = Visitor::new(&self.app.server.url);
            let is_strange = ["/sign-in", "/welcome"].contains(&bare);
            let who = if is_strange { &stranger } else { &self.app.admin };
            let page = who.try_get(&path).await;
            let html = Html::parse_document(&page.html);
            for link in html.select(&css("a[href]")).filter_map(|link| link.attr("href")) {
                let Ok(link) = page.url.join(link) else { continue };
                self.parameters.extend(link.query_pairs().map(|(name, _)| name.into_owned()));
                if link.host() == page.url.host() && seen.insert(link.path().to_owned()) {
                    waiting.push_back(link.path().to_owned());
                }
            }
            self.know(&routes, page.url.path());
            for form in html.select(&css("form")) {
                self.take_down(&routes, form, &page.url, me);
            }
        }
    }

    /// Notes the ids in an address.
    fn know(&mut self, routes: &[(&'static str, String)], path: &str) {
        for (name, value) in routes.iter().filter_map(|(_, route)| bind(route, path)).flatten() {
            let known = self.known.entry(name).or_default();
            if !known.contains(&value) {
                known.push(value);
            }
        }
    }

    /// A form, and the other addresses that its buttons send it to; none of one's own account, so
    /// that nobody locks themself out.
    fn take_down(
        &mut self,
        routes: &[(&'static str, String)],
        form: ElementRef,
        at: &Url,
        me: &str,
    ) {
        let method = if form.attr("method") == Some("post") { "post" } else { "get" };
        let own = form.attr("action").unwrap_or(at.path()).to_owned();
        let buttons = form
            .select(&css("[formaction]"))
            .filter_map(|button| button.attr("formaction").map(str::to_owned))
            .collect::<Vec<_>>();
        let multipart = form.attr("enctype") == Some("multipart/form-data");
        let body = if multipart { BodyKind::Multipart } else { BodyKind::Form };
        let fields = fields_of(form);
        if method == "get" {
            self.parameters.extend(fields.iter().map(|(name, _)| name.clone()));
        }
        for path in std::iter::once(own).chain(buttons) {
            let path = path.split('?').next().unwrap_or_default().to_owned();
            if path.contains(me) {
                continue;
            }
            let found = routes
                .iter()
                .find(|(known, route)| *known == method && bind(route, &path).is_some());
            let Some((method, route)) = found else {
                panic!("{} has a form to {path}, which is no route", at.path())
            };
            let names = |fields: &[(String, String)]| {
                fields.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
            };
            let alike = |known: &&mut Target| {
                known.method == *method
                    && known.route == *route
                    && names(&known.fields) == names(&fields)
            };
            self.know(routes, &path);
            match self.targets.iter_mut().find(alike) {
                // What takes something away takes the last, so that the others have the first.
                Some(known) if route.ends_with("/delete") => known.path = path,
                Some(_) => {}
                None => self.targets.push(Target {
                    method,
                    route: route.clone(),
                    path,
                    body,
                    fields: fields.clone(),
                }),
            }
        }
    }

    /// Routes that no form leads to, with what scripts send; and every page.
    fn add_what_no_page_shows(&mut self) {
        for (method, route) in annotator::routes::all() {
            let of_scripts = OF_SCRIPTS.iter().find(|(known, _)| *known == route);
            if let Some((_, names)) = of_scripts {
                self.parameters.extend(names.iter().map(|name| (*name).to_owned()));
            }
            if method == "get"
                || !self.targets.iter().any(|known| known.method == method && known.route == route)
            {
                let fields = of_scripts.map_or(&[][..], |(_, names)| names);
                let fields =
                    fields.iter().map(|name| ((*name).to_owned(), String::new())).collect();
                let body = if of_scripts.is_some() { BodyKind::Json } else { BodyKind::Form };
                let linked = self.linked.get(&route).cloned();
                let path = linked.unwrap_or_else(|| self.fill(&route, None));
                self.targets.push(Target { method, route, path, body, fields });
            }
        }
    }

    /// An address of a route; with something else in place of one placeholder.
    pub(super) fn fill(&self, route: &str, instead: Option<(&str, &str)>) -> String {
        let fill = |segment: &str| {
            let Some((before, name, after)) = placeholder(segment) else {
                return segment.to_owned();
            };
            let value = match (instead, self.known.get(name).and_then(|known| known.first())) {
                (Some((other, value)), _) if other == name => value.to_owned(),
                (_, Some(known)) => percent_encoded(known.as_bytes()),
                (_, None) if matches!(name, "hash" | "name") => "any".to_owned(),
                (_, None) => panic!("no page names a {{{name}}}, which {route} wants: furnish one"),
            };
            format!("{before}{value}{after}")
        };
        route.split('/').map(fill).collect::<Vec<_>>().join("/")
    }
}

/// Instead of a trainer a program that ends at once: what a model would say is not the matter.
async fn start(database: TestDb) -> (TestApp, String) {
    let flags = ["--trainer", "/bin/false"];
    let server =
        tokio::task::block_in_place(|| Server::start_with(&database, Worker::None, &flags));
    let admin = Visitor::new(&server.url);
    let password = server.first_password.clone().expect("the first start prints a password");
    admin.sign_in("admin", &password).await;
    let rows = database.connect().await;
    (TestApp { server, admin, rows, database }, password)
}

/// What stands before a placeholder, its name, and what stands after it.
pub(super) fn placeholder(segment: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = segment.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// What stands for a route's placeholders in a path of it.
fn bind(route: &str, path: &str) -> Option<Vec<(String, String)>> {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    if route.len() != path.len() {
        return None;
    }
    let mut bound = Vec::new();
    for (segment, is) in route.iter().zip(path) {
        match placeholder(segment) {
            None if *segment == is => {}
            None => return None,
            Some((before, name, after)) => {
                let value = is.strip_prefix(before)?.strip_suffix(after)?;
                bound.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    Some(bound)
}

/// Every control of a form by its name, with what it would send if it were chosen or pressed.
fn fields_of(form: ElementRef) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for field in form.select(&css("input[name], textarea[name], select[name], button[name]")) {
        let name = field.attr("name").unwrap_or_default().to_owned();
        let value = match field.value().name() {
            "textarea" => field.text().collect(),
            "select" => field
                .select(&css("option"))
                .find_map(|option| option.attr("value"))
                .unwrap_or_default()
                .to_owned(),
            _ => field.attr("value").unwrap_or_default().to_owned(),
        };
        if name != "csrf" && !fields.iter().any(|(known, _)| *known == name) {
            fields.push((name, value));
        }
    }
    fields
}

fn css(selector: &str) -> Selector {
    Selector::parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}"))
}
