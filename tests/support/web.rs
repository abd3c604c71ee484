//! A person at a browser without JavaScript: follows links, fills in the forms that are on the page
//! and sends them with everything that the page put into them.

use super::eventually;
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode, Url,
    cookie::{CookieStore, Jar},
    header::{HeaderMap, HeaderName},
    redirect::Policy,
};
use scraper::{ElementRef, Html, Selector};
use std::{sync::Arc, time::Duration};

/// Somebody with a cookie jar.
#[derive(Clone)]
pub(crate) struct Visitor {
    base: Url,
    cookies: Arc<Jar>,
    /// What every request of theirs says besides.
    said: HeaderMap,
    client: Client,
    /// The same person where a redirect is not followed.
    unled: Client,
}

impl Visitor {
    pub(crate) fn new(base: &str) -> Self {
        Self::with(base.parse().expect("an address"), Arc::default(), HeaderMap::new())
    }

    fn with(base: Url, cookies: Arc<Jar>, said: HeaderMap) -> Self {
        let client = |redirects| {
            Client::builder()
                .cookie_provider(cookies.clone())
                .default_headers(said.clone())
                .redirect(redirects)
                .timeout(Duration::from_secs(60))
                .no_proxy()
                .build()
                .expect("a client")
        };
        let (led, unled) = (client(Policy::limited(5)), client(Policy::none()));
        Self { base, cookies, said, client: led, unled }
    }

    /// The same person, whose requests say this, too.
    pub(crate) fn saying(&self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        let mut said = self.said.clone();
        said.insert(name, value.parse().expect("a header's value"));
        Self::with(self.base.clone(), self.cookies.clone(), said)
    }

    /// The same browser as it is now, which learns nothing of what this one is told from here on.
    pub(crate) fn twin(&self) -> Self {
        let jar = Jar::default();
        if let Some(cookies) = self.cookies.cookies(&self.base) {
            let cookies = cookies.to_str().expect("plain cookies");
            cookies.split("; ").for_each(|cookie| jar.add_cookie_str(cookie, &self.base));
        }
        Self::with(self.base.clone(), Arc::new(jar), self.said.clone())
    }

    /// Signs in by the form; the page after it.
    pub(crate) async fn sign_in(&self, login: &str, password: &str) -> Page {
        let form = self.get("/sign-in").await.form("/sign-in");
        let page = self.submit(form.with("login", login).with("password", password)).await;
        assert_ne!(page.url.path(), "/sign-in", "{login} is signed in");
        page
    }

    /// Follows an invitation, or the link of a reset, and sets a password; the page after it.
    pub(crate) async fn accept(&self, link: &str, password: &str) -> Page {
        let form = self.get(link).await.form("/welcome");
        let page = self.submit(form.with("new", password).with("again", password)).await;
        assert_ne!(page.url.path(), "/welcome", "{}", page.text());
        page
    }

    /// A page that must be there.
    pub(crate) async fn get(&self, path: &str) -> Page {
        let page = self.try_get(path).await;
        assert!(page.status.is_success(), "GET {path}: {}\n{}", page.status, page.text());
        page
    }

    /// A page, whatever its status.
    pub(crate) async fn try_get(&self, path: &str) -> Page {
        let response = self.client.get(self.url(path)).send().await;
        Page::of(response.unwrap_or_else(|error| panic!("GET {path}: {error}"))).await
    }

    /// A page, if the service is there to answer.
    pub(crate) async fn reach(&self, path: &str) -> Option<Page> {
        Page::try_of(self.client.get(self.url(path)).send().await.ok()?).await
    }

    /// Sends a form; the page that answers, if the service is there to answer.
    pub(crate) async fn deliver(&self, form: &Form) -> Option<Page> {
        let request = self.client.post(self.url(&form.action)).form(&form.fields);
        Page::try_of(request.send().await.ok()?).await
    }

    /// The first answer itself: no redirect is followed, nothing is read of the body.
    pub(crate) async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let mut request = self.unled.request(method, self.url(path));
        if fields.iter().any(|(name, _)| *name == "file") {
            let (files, fields): (Vec<_>, Vec<_>) =
                fields.iter().copied().partition(|(name, _)| *name == "file");
            request = with_file(request, &fields, files[0].1.as_bytes());
        } else if !fields.is_empty() {
            request = request.form(fields);
        }
        request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What a script of a page of this person sends.
    pub(crate) async fn send_json(&self, path: &str, body: &serde_json::Value) -> Response {
        let token = self.token().await;
        let request = self.unled.post(self.url(path)).header("csrf", token).json(body);
        request.send().await.unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Sends a file of rows to a project and waits until it is in, or not; the page of its import.
    pub(crate) async fn bring_in(&self, project: &str, content: impl Into<Vec<u8>>) -> Page {
        let page = self.send_rows(project, content, &[]).await;
        self.import_over(page).await
    }

    /// Sends a file of rows to a project, with other fields; the page that answers.
    pub(crate) async fn send_rows(
        &self,
        project: &str,
        content: impl Into<Vec<u8>>,
        fields: &[(&str, &str)],
    ) -> Page {
        let response = self.rows_request(project, content, fields).await.send().await;
        Page::of(response.unwrap_or_else(|error| panic!("an upload: {error}"))).await
    }

    /// The form with a file of rows, still to be sent.
    pub(crate) async fn rows_request(
        &self,
        project: &str,
        content: impl Into<Vec<u8>>,
        fields: &[(&str, &str)],
    ) -> RequestBuilder {
        let (token, path) = (self.token().await, format!("{project}/prompts/upload"));
        let mut fields = fields.to_vec();
        fields.insert(0, ("csrf", &token));
        with_file(self.client.post(self.url(&path)), &fields, &content.into())
    }

    /// Waits until the import on whose page somebody is is over.
    pub(crate) async fn import_over(&self, page: Page) -> Page {
        let path = page.url.path().to_owned();
        assert!(path.contains("/imports/"), "no page of an import: {path}\n{}", page.text());
        let over = async || {
            let page = self.get(&path).await;
            (!page.texts("#import-status[data-over]").is_empty()).then_some(page)
        };
        eventually(Duration::from_secs(120), over, || format!("{path} goes on for ever")).await
    }

    /// Any body at all under the session's token: the answer's status, and where it leads. The body
    /// of the answer is read to its end, unless it is a stream.
    pub(crate) async fn send_raw(
        &self,
        method: &str,
        path: &str,
        token: &str,
        kind: Option<&str>,
        body: Vec<u8>,
    ) -> Result<(u16, Option<String>), reqwest::Error> {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let mut request = self.unled.request(method, self.url(path)).header("csrf", token);
        if let Some(kind) = kind {
            request = request.header("content-type", kind).body(body);
        }
        let answer = request.send().await?;
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        let (status, leads_to) = (answer.status().as_u16(), header("location"));
        if header("content-type").is_none_or(|kind| kind != "text/event-stream") {
            answer.bytes().await?;
        }
        Ok((status, leads_to))
    }

    /// Sends a body as it is, with a page's token; the page that answers.
    pub(crate) async fn send_body(&self, path: &str, kind: &str, token: &str, body: &str) -> Page {
        let request = self.unled.post(self.url(path)).header("content-type", kind);
        let answer = request.header("csrf", token).body(body.to_owned()).send().await;
        Page::of(answer.unwrap_or_else(|error| panic!("POST {path}: {error}"))).await
    }

    /// Chooses the language of every page that this person opens.
    pub(crate) async fn read_in(&self, language: &str) {
        let form = self.get("/").await.form("/language");
        self.submit(form.choosing("language", language)).await;
    }

    /// The form token of this person's session.
    pub(crate) async fn token(&self) -> String {
        let form = self.get("/sign-in").await.form("/language");
        form.value("csrf").expect("a token").to_owned()
    }

    /// Sends a form; the page that answers, whatever its status.
    pub(crate) async fn try_submit(&self, form: Form) -> Page {
        let response = self.client.post(self.url(&form.action)).form(&form.fields).send().await;
        Page::of(response.unwrap_or_else(|error| panic!("POST {}: {error}", form.action))).await
    }

    /// Sends a form that must be accepted.
    pub(crate) async fn submit(&self, form: Form) -> Page {
        let action = form.action.clone();
        let page = self.try_submit(form).await;
        assert!(page.status.is_success(), "POST {action}: {}\n{}", page.status, page.text());
        page
    }

    fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("a path")
    }
}

/// A form with a file, as browsers send it.
fn with_file(request: RequestBuilder, fields: &[(&str, &str)], file: &[u8]) -> RequestBuilder {
    let mut body = Vec::new();
    let mut part = |head: String, value: &[u8]| {
        let head = format!("--boundary\r\nContent-Disposition: form-data; {head}\r\n\r\n");
        body.extend([head.as_bytes(), value, b"\r\n"].concat());
    };
    for (name, value) in fields {
        part(format!("name=\"{name}\""), value.as_bytes());
    }
    part("name=\"file\"; filename=\"rows.jsonl\"".to_owned(), file);
    body.extend(b"--boundary--\r\n");
    request.header("content-type", "multipart/form-data; boundary=boundary").body(body)
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    /// Where redirects led.
    pub(crate) url: Url,
    pub(crate) html: String,
}

impl Page {
    async fn of(response: reqwest::Response) -> Self {
        Self::try_of(response).await.expect("a text")
    }

    /// None where the connection breaks before the end.
    async fn try_of(response: reqwest::Response) -> Option<Self> {
        let (status, url) = (response.status(), response.url().clone());
        Some(Self { status, url, html: response.text().await.ok()? })
    }

    /// The form whose action ends so, as the page filled it in.
    pub(crate) fn form(&self, action: &str) -> Form {
        self.find_form(action)
            .unwrap_or_else(|| panic!("no form for …{action} on {}:\n{}", self.url, self.text()))
    }

    pub(crate) fn find_form(&self, action: &str) -> Option<Form> {
        let html = Html::parse_document(&self.html);
        html.select(&selector("form"))
            .find(|form| self.action(form).ends_with(action))
            .map(|form| Form { action: self.action(&form), fields: fields(form) })
    }

    /// Where a form goes: its action, else the page itself.
    fn action(&self, form: &ElementRef) -> String {
        form.attr("action").unwrap_or(self.url.path()).to_owned()
    }

    /// What the page shows this once: a link to be passed on.
    pub(crate) fn secret(&self) -> String {
        let shown = self.texts(".secret").pop();
        shown.unwrap_or_else(|| panic!("nothing is shown once:\n{}", self.text()))
    }

    /// What the elements that a CSS selector finds say.
    pub(crate) fn texts(&self, css: &str) -> Vec<String> {
        let html = Html::parse_document(&self.html);
        html.select(&selector(css)).map(|element| plain(element)).collect()
    }

    /// Where the links that a CSS selector finds lead, in their order.
    pub(crate) fn links(&self, css: &str) -> Vec<String> {
        let html = Html::parse_document(&self.html);
        let link = selector(css);
        html.select(&link).filter_map(|link| link.attr("href")).map(str::to_owned).collect()
    }

    /// The id at the end of the page's address.
    pub(crate) fn id(&self) -> String {
        self.url.path().rsplit('/').next().expect("a path").to_owned()
    }

    /// The page as somebody reads it.
    pub(crate) fn text(&self) -> String {
        self.texts("main").first().cloned().unwrap_or_else(|| self.html.clone())
    }
}

/// A form as it would be sent.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Fills in a field that the page has.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        let known = self.fields.iter_mut().find(|(field, _)| field == name);
        let Some((_, old)) = known else {
            panic!("the form {} has no field {name}: {:?}", self.action, self.fields)
        };
        *old = value.to_string();
        self
    }

    /// Ticks a box, chooses a radio button or presses a button: what the page does not send by itself.
    pub(crate) fn choosing(mut self, name: &str, value: impl ToString) -> Self {
        self.fields.push((name.to_owned(), value.to_string()));
        self
    }
}

/// What a browser would send of a form: not unticked boxes, not buttons.
fn fields(form: ElementRef) -> Vec<(String, String)> {
    form.select(&selector("input[name], textarea[name], select[name]"))
        .filter_map(|field| Some((field.attr("name")?.to_owned(), value(field)?)))
        .collect()
}

fn value(field: ElementRef) -> Option<String> {
    match (field.value().name(), field.attr("type").unwrap_or("text")) {
        ("select", _) => {
            let options = selector("option");
            let chosen = field.select(&options).find(|option| option.attr("selected").is_some());
            let option = chosen.or_else(|| field.select(&options).next())?;
            Some(option.attr("value").map_or_else(|| plain(option), str::to_owned))
        }
        ("textarea", _) => Some(field.text().collect()),
        (_, "checkbox" | "radio") => {
            field.attr("checked")?;
            Some(field.attr("value").unwrap_or("on").to_owned())
        }
        (_, "submit" | "button" | "file" | "reset" | "image") => None,
        _ => Some(field.attr("value").unwrap_or_default().to_owned()),
    }
}

fn plain(element: ElementRef) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn selector(css: &str) -> Selector {
    Selector::parse(css).unwrap_or_else(|error| panic!("{css}: {error}"))
}
