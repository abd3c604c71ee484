//! `annotator serve | migrate | create-user | import | export`.

use annotator::{
    app::App,
    config::{Cli, LogFormat, Verb},
    create_user, database, export, import,
};
use clap::Parser;
use tracing_subscriber::EnvFilter;

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().verb {
        Verb::Serve(config) => {
            log_to_stderr(config.log);
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
        Verb::Import(request) => import::run(request).await,
        Verb::Export(request) => export::run(request).await,
    }
}

fn log_to_stderr(format: LogFormat) {
    let quiet = "warn,annotator=info,tracing_actix_web::middleware=off";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
