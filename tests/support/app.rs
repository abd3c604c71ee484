//! A running Attune: one or more `annotator serve` processes on a database of the test's own.

use super::{
    binaries,
    database::TestDb,
    leash::Leash,
    web::{Page, Visitor},
};
use entity::{ids::RunId, run};
use sea_orm::{DatabaseConnection, EntityTrait, sea_query::Expr};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long a run may take before a test gives it up.
const RUN_PATIENCE: Duration = Duration::from_secs(400);

/// What a server does besides serving pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worker {
    None,
    /// A local worker, and the tiny base to start from.
    Local,
}

/// One `annotator serve`.
pub(crate) struct Server {
    leash: Leash,
    pub(crate) url: String,
    /// Of `admin`, if this process was the first on its database.
    pub(crate) first_password: Option<String>,
    log: PathBuf,
}

impl Server {
    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(database: &TestDb, worker: Worker) -> Self {
        Self::start_with(database, worker, &[])
    }

    /// The same with flags of the test's own.
    pub(crate) fn start_with(database: &TestDb, worker: Worker, flags: &[&str]) -> Self {
        Self::start_in(database, worker, flags, &[])
    }

    /// The same with variables of the environment.
    pub(crate) fn start_in(
        database: &TestDb,
        worker: Worker,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = database.folder.path();
        let log = folder.join(format!("annotator-{}.log", uuid::Uuid::now_v7()));
        let errors = File::create(&log).expect("a log file");
        let data = folder.to_str().expect("a plain path");
        let mut arguments = vec!["serve", "--data-dir", data];
        if !flags.contains(&"--listen") {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        let (trainer, base) = (binaries::trainer(), super::tiny_base());
        arguments.extend(match worker {
            Worker::None => vec!["--worker", "none"],
            Worker::Local => {
                let trainer = trainer.to_str().expect("a plain path");
                vec![
                    "--worker",
                    "local",
                    "--trainer",
                    trainer,
                    "--base",
                    base.to_str().expect("a plain path"),
                ]
            }
        });
        arguments.extend(flags);
        let mut leash = Leash::start(&binaries::annotator(), arguments, |command| {
            clean(command)
                .env("DATABASE_URL", &database.url)
                .env(SECRET.0, SECRET.1)
                .envs(environment.iter().copied())
                .stdout(Stdio::piped())
                .stderr(errors)
        });
        let mut greeting = BufReader::new(leash.stdout()).lines();
        let (mut url, mut first_password) = (None, None);
        while let Some(Ok(line)) = greeting.next() {
            if let Some(address) = line.split_whitespace().find(|word| word.starts_with("http://"))
            {
                url = Some(address.trim_end_matches('/').to_owned());
            } else if let Some((_, password)) = line.split_once("one-time password ") {
                first_password = Some(password.trim().to_owned());
            } else if url.is_some() && line.is_empty() {
                break;
            }
        }
        std::thread::spawn(move || greeting.for_each(drop)); // it may say more
        let url = url.unwrap_or_else(|| panic!("the server does not start:\n{}", tail(&log)));
        Self { leash, url, first_password, log }
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.leash.program()
    }

    /// The processes that it has started, with their command lines.
    pub(crate) fn children(&self) -> Vec<(u32, Vec<String>)> {
        Self::children_of(self.process())
    }

    /// The first process that another has started.
    pub(crate) fn child_of(process: u32) -> Option<u32> {
        Some(Self::children_of(process).first()?.0)
    }

    fn children_of(process: u32) -> Vec<(u32, Vec<String>)> {
        let of = |pid: u32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
        let parent = format!("PPid:\t{process}\n");
        let entries = std::fs::read_dir("/proc").expect("/proc is there").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| of(*pid, "status").is_ok_and(|status| status.contains(&parent)))
            .filter_map(|pid| Some((pid, of(pid, "cmdline").ok()?)))
            .map(|(pid, line)| (pid, line.split('\0').map(str::to_owned).collect()))
            .collect()
    }

    /// The last lines of what it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        tail(&self.log)
    }
}

/// Settings of the person who runs the tests must not reach the program under test; a tiny model is
/// fastest on one thread.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ATTUNE_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("DATABASE_URL")
        .env_remove("RUST_LOG")
        .env_remove("RUST_BACKTRACE")
        .env("OMP_NUM_THREADS", "1")
        .current_dir(binaries::root())
}

/// What a machine's environment holds for other programs.
pub(crate) const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "of-this-machine-alone");

fn tail(log: &std::path::Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// A server with its database and its administrator. Dropping it stops the server, and fails the
/// test if a run was left unfinished.
pub(crate) struct TestApp {
    pub(crate) server: Server,
    pub(crate) admin: Visitor,
    pub(crate) rows: DatabaseConnection,
    pub(crate) database: TestDb,
}

impl TestApp {
    pub(crate) async fn start(database: TestDb, worker: Worker) -> Self {
        let server = tokio::task::block_in_place(|| Server::start(&database, worker));
        let admin = Visitor::new(&server.url);
        let password = server.first_password.as_deref().expect("the first start prints a password");
        admin.sign_in("admin", password).await;
        let rows = database.connect().await;
        Self { server, admin, rows, database }
    }

    /// Makes a project by the form; its address (`/projects/…`).
    pub(crate) async fn new_project(&self, name: &str) -> String {
        let form = self.admin.get("/projects/new").await.form("/projects/new").with("name", name);
        let page = self.admin.submit(form).await;
        let mut parts = page.url.path().split('/').skip(2);
        format!("/projects/{}", parts.next().expect("the project's id"))
    }

    /// Adds somebody to a project by the form and signs them in.
    pub(crate) async fn new_person(&self, project: &str, login: &str, roles: &[&str]) -> Visitor {
        let password = self.new_account(project, login, roles).await;
        let visitor = Visitor::new(&self.server.url);
        visitor.sign_in(login, &password).await;
        visitor
    }

    /// Adds somebody to a project by the form and follows the link that it shows; their password.
    pub(crate) async fn new_account(&self, project: &str, login: &str, roles: &[&str]) -> String {
        let people = self.admin.get(&format!("{project}/people")).await;
        let mut form = people.form("/people").with("login", login).with("name", login);
        for role in roles {
            form = form.choosing("role", role);
        }
        let page = self.admin.submit(form).await;
        let link = page.secret();
        let password = format!("the password of {login}");
        Visitor::new(&self.server.url).accept(&link, &password).await;
        password
    }

    /// Adds prompts by the form, one paragraph each.
    pub(crate) async fn add_prompts(
        &self,
        project: &str,
        prompts: impl IntoIterator<Item = String>,
    ) {
        let form = self.admin.get(&format!("{project}/prompts")).await.form("/prompts");
        let pasted: Vec<String> = prompts.into_iter().collect();
        let page = self.admin.submit(form.with("prompts", pasted.join("\n\n"))).await;
        if page.url.path().contains("/imports/") {
            self.admin.import_over(page).await;
        }
    }

    /// Launches a run by its form, with these settings in place of the defaults, and waits for it.
    pub(crate) async fn launch(
        &self,
        engineer: &Visitor,
        project: &str,
        kind: &str,
        settings: &[(String, String)],
    ) -> run::Model {
        let run = self.queue(engineer, project, kind, settings).await;
        self.wait_for_run(run).await
    }

    /// Launches a run by its form: the models that it offers first, and a dataset frozen now.
    pub(crate) async fn queue(
        &self,
        engineer: &Visitor,
        project: &str,
        kind: &str,
        settings: &[(String, String)],
    ) -> RunId {
        let address = format!("{project}/runs/new/{kind}");
        let mut form = engineer.get(&address).await.form(&address);
        for (name, value) in settings {
            form = form.with(name, value);
        }
        run_of(&engineer.submit(form).await)
    }

    /// Waits for a run; panics with the reason unless it succeeds.
    pub(crate) async fn wait_for_run(&self, id: RunId) -> run::Model {
        let started = Instant::now();
        loop {
            let run =
                run::Entity::find_by_id(id).one(&self.rows).await.expect("rows").expect("the run");
            match run.status {
                run::RunStatus::Succeeded => return run,
                status if status.is_final() || started.elapsed() > RUN_PATIENCE => {
                    panic!("{:?} run: {status:?}: {:?}\n{}", run.kind, run.error, self.server.log())
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Kills the server and what it has started, and starts another on the same data.
    pub(crate) fn kill_and_start(&mut self, worker: Worker) {
        self.server.leash.kill();
        let first_password = self.server.first_password.take();
        self.server = tokio::task::block_in_place(|| Server::start(&self.database, worker));
        self.server.first_password = first_password;
    }

    /// Ends the runs that a test has queued and has no worker for.
    pub(crate) async fn forget_runs(&self) {
        let end = run::Entity::update_many()
            .col_expr(run::Column::Status, Expr::value(run::RunStatus::Cancelled));
        end.exec(&self.rows).await.expect("rows");
    }

    async fn unfinished_runs(&self) -> Vec<run::Model> {
        let runs = run::Entity::find().all(&self.rows).await.unwrap_or_default();
        runs.into_iter().filter(|run| !run.status.is_final()).collect()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server said:\n{}", self.server.log());
            return;
        }
        let unfinished = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(self.unfinished_runs())
        });
        assert!(unfinished.is_empty(), "the test leaves runs unfinished: {unfinished:?}");
        assert!(
            self.server.leash.stop(),
            "the server does not end when it is told to:\n{}",
            self.server.log()
        );
    }
}

/// The run whose page this is.
pub(crate) fn run_of(page: &Page) -> RunId {
    let id = page.url.path().rsplit('/').next().expect("a path");
    id.parse().unwrap_or_else(|_| panic!("no run page: {}\n{}", page.url, page.text()))
}
