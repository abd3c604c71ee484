//! People at work: each reads their task, saves a draft of the answer and submits it, by the forms of
//! the pages that they get. A submit leads to the next task.

use crate::{
    BenchPlan,
    office::{BenchOffice, N_PEOPLE},
    servers::WebServer,
};
use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use futures_util::future::join_all;
use reqwest::{Client, Response, StatusCode, header, redirect::Policy};
use std::{
    io::Read,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Connections, and people who do something at the same moment.
const N_CONNECTIONS: usize = 64;

/// What was seen of a crowd.
#[derive(Default)]
pub(crate) struct CrowdReport {
    pub(crate) n_cycles: usize,
    pub(crate) elapsed: Duration,
    /// How long every request took.
    pub(crate) waits: Vec<Duration>,
    /// How long every cycle took: page, draft and submit.
    pub(crate) cycles: Vec<Duration>,
    pub(crate) cpu: Duration,
    pub(crate) peak_memory: u64,
    /// The answers whose submit was acknowledged: assignment and text.
    pub(crate) acknowledged: Vec<(String, String)>,
    /// Requests that were not answered as they should be, with what was said.
    pub(crate) failures: Vec<String>,
}

/// Lets the crowd work: everybody once to warm up, and then what is measured.
pub(crate) async fn work(
    server: &WebServer,
    office: &BenchOffice,
    plan: &BenchPlan,
) -> anyhow::Result<CrowdReport> {
    let mut people: Vec<Vec<Person>> = (0..N_CONNECTIONS).map(|_| Vec::new()).collect();
    for (n, cookie) in office.cookies.iter().enumerate() {
        people[n % N_CONNECTIONS].push(Person::new(server, office, cookie));
    }
    let warm = phase(&mut people, N_PEOPLE, plan.patience).await;
    let (cpu, started) = (server.cpu()?, Instant::now());
    let mut report = phase(&mut people, plan.n_cycles, plan.patience).await;
    report.elapsed = started.elapsed();
    report.cpu = server.cpu()? - cpu;
    report.peak_memory = server.peak_memory()?;
    report.acknowledged.extend(warm.acknowledged);
    report.failures.extend(warm.failures);
    Ok(report)
}

async fn phase(people: &mut [Vec<Person>], n_cycles: usize, patience: Duration) -> CrowdReport {
    let left = AtomicUsize::new(n_cycles);
    let until = Instant::now() + patience;
    let working = people.iter_mut().map(|people| connection(people, &left, until));
    let mut all = CrowdReport::default();
    for report in join_all(working).await {
        all.n_cycles += report.n_cycles;
        all.waits.extend(report.waits);
        all.cycles.extend(report.cycles);
        all.acknowledged.extend(report.acknowledged);
        all.failures.extend(report.failures);
    }
    all
}

/// One connection after the other's turn: each time the next of its people does a task.
async fn connection(people: &mut [Person], left: &AtomicUsize, until: Instant) -> CrowdReport {
    let client = Client::builder()
        .redirect(Policy::none())
        .pool_max_idle_per_host(1)
        .timeout(Duration::from_secs(60))
        .no_proxy()
        .build()
        .expect("a client");
    let mut report = CrowdReport::default();
    let n_people = people.len();
    for turn in 0.. {
        let may_go_on = left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok();
        if !may_go_on || Instant::now() > until {
            break;
        }
        let started = Instant::now();
        match people[turn % n_people].do_a_task(&client, &mut report).await {
            Ok(()) => {
                report.n_cycles += 1;
                report.cycles.push(started.elapsed());
            }
            Err(error) => report.failures.push(format!("{error:#}")),
        }
    }
    report
}

struct Person {
    server: String,
    /// Where the project gives out tasks.
    entrance: String,
    cookie: String,
    /// The page of the task that they hold.
    task: Option<String>,
    n_written: usize,
}

impl Person {
    fn new(server: &WebServer, office: &BenchOffice, cookie: &str) -> Self {
        Self {
            server: server.url.clone(),
            entrance: format!("/projects/{}/demonstrate", office.project),
            cookie: cookie.to_owned(),
            task: None,
            n_written: 0,
        }
    }

    async fn do_a_task(&mut self, client: &Client, report: &mut CrowdReport) -> anyhow::Result<()> {
        let task = match self.task.take() {
            Some(task) => task,
            None => location(&self.get(client, &self.entrance, report).await?)?,
        };
        let page = self.get(client, &task, report).await?;
        let mut form = task_form(&text(page).await?).with_context(|| task.clone())?;
        self.n_written += 1;
        let answer = format!(
            "Answer {} of {}: it is **good** for counting.\n\n- one apple\n- two apples\n",
            self.n_written, task
        );
        form.push(("answer".to_owned(), answer.trim_end().to_owned()));
        let draft = self.post(client, &format!("{task}/draft?quiet=true"), &form, report).await?;
        if !draft.status().is_success() {
            bail!("draft: {}", draft.status());
        }
        // An answer that is not read ends its connection, and no browser does that.
        draft.bytes().await?;
        let submitted = self.post(client, &task, &form, report).await?;
        let next = location(&submitted)?;
        let assignment = task.rsplit('/').next().unwrap_or_default().to_owned();
        report.acknowledged.push((assignment, answer.trim_end().to_owned()));
        // Nothing is left for them where there is no next task.
        self.task = next.contains("/tasks/").then_some(next);
        Ok(())
    }

    async fn get(
        &self,
        client: &Client,
        path: &str,
        report: &mut CrowdReport,
    ) -> anyhow::Result<Response> {
        self.send(client.get(format!("{}{path}", self.server)), report).await
    }

    async fn post(
        &self,
        client: &Client,
        path: &str,
        form: &[(String, String)],
        report: &mut CrowdReport,
    ) -> anyhow::Result<Response> {
        self.send(client.post(format!("{}{path}", self.server)).form(form), report).await
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        report: &mut CrowdReport,
    ) -> anyhow::Result<Response> {
        let started = Instant::now();
        let response = request
            .header(header::COOKIE, &self.cookie)
            .header(header::ACCEPT_ENCODING, "gzip, deflate, br, zstd")
            .header(header::ACCEPT_LANGUAGE, "en-US,en;q=0.9")
            .send()
            .await?;
        report.waits.push(started.elapsed());
        Ok(response)
    }
}

/// Where a redirect leads.
fn location(response: &Response) -> anyhow::Result<String> {
    if response.status() != StatusCode::SEE_OTHER {
        bail!("{}: {}", response.url().path(), response.status());
    }
    let location = response.headers().get(header::LOCATION).context("a location")?;
    Ok(location.to_str()?.to_owned())
}

async fn text(page: Response) -> anyhow::Result<String> {
    if page.status() != StatusCode::OK {
        bail!("{}: {}", page.url().path(), page.status());
    }
    let is_gzip = page.headers().get(header::CONTENT_ENCODING).is_some_and(|it| it == "gzip");
    let body = page.bytes().await?;
    let mut text = String::new();
    if is_gzip {
        GzDecoder::new(&*body).read_to_string(&mut text)?;
    } else {
        text = String::from_utf8(body.to_vec())?;
    }
    Ok(text)
}

/// The hidden fields of the form that answers.
fn task_form(page: &str) -> anyhow::Result<Vec<(String, String)>> {
    let form = page.split("id=\"task\"").nth(1).context("a form")?;
    let form = form.split("</form>").next().context("its end")?;
    let value = |input: &str, name: &str| {
        let behind = input.split(&format!("{name}=\"")).nth(1)?;
        Some(behind.split('"').next()?.to_owned())
    };
    let mut fields = Vec::new();
    for input in form.split("<input type=\"hidden\"").skip(1) {
        let input = input.split('>').next().unwrap_or_default();
        let name = value(input, "name").context("a name")?;
        fields.push((name, value(input, "value").unwrap_or_default()));
    }
    if fields.len() < 2 {
        bail!("the form has {} hidden fields", fields.len());
    }
    Ok(fields)
}

const _: () = assert!(N_PEOPLE >= N_CONNECTIONS, "everybody has a connection at a time");
