//! `annotator serve | migrate | create-user | reset-password | import | export | backup | restore |
//! erase | export-person`.

use annotator::{
    app::App,
    config::{Cli, Verb},
    data::{export, import},
    database,
    keeping::verbs,
    start::{create_user, reset_password},
};
use clap::Parser;
use entity::log_format::{LogFormat, log_directives};
use mimalloc::MiMalloc;
use std::{io::IsTerminal, process::ExitCode};
use tracing_subscriber::EnvFilter;

/// Requests make and drop many small things on several threads, which glibc's allocator is slow at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[actix_web::main]
async fn main() -> ExitCode {
    match run(Cli::parse().verb).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Serve(config) => {
            log_to_stderr(config.log_format);
            let app = App::build(config).await?;
            println!("{}", app.greeting());
            app.run().await
        }
        Verb::Migrate(storage) => {
            log_to_stderr(LogFormat::Text);
            database::open(&storage).await?;
            println!("The database is up to date");
            Ok(())
        }
        Verb::CreateUser(request) => create_user::run(request).await,
        Verb::ResetPassword(request) => reset_password::run(request).await,
        Verb::Import(request) => import::run(request).await,
        Verb::Export(request) => export::run(request).await,
        Verb::Backup(request) => verbs::back_up(request).await,
        Verb::Restore(request) => verbs::restore(request).await,
        Verb::Erase(request) => verbs::erase(request).await,
        Verb::ExportPerson(request) => verbs::export_person(request).await,
    }
}

fn log_to_stderr(format: LogFormat) {
    let usual = "warn,annotator=info";
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let filter = EnvFilter::try_new(log_directives(asked.as_deref(), usual))
        .unwrap_or_else(|_| EnvFilter::new(log_directives(None, usual)));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
}
