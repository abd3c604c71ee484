//! The site map: one line per URL.

use crate::{
    assets,
    handlers::{admin, home, models, people, project, prompts, runs, settings, sign_in, task},
};
use actix_web::web::{ServiceConfig, get, post};

#[rustfmt::skip]
pub fn configure(app: &mut ServiceConfig) {
    app
        // Everybody
        .route("/static/{hash}/{name}", get().to(assets::serve))
        .route("/sign-in", get().to(sign_in::show))
        .route("/sign-in", post().to(sign_in::sign_in))
        .route("/sign-out", post().to(sign_in::sign_out))
        .route("/language", post().to(settings::choose_language))
        .route("/healthz", get().to(home::health))
        // Everybody who is signed in
        .route("/", get().to(home::show))
        .route("/settings", get().to(settings::show))
        .route("/settings/password", post().to(settings::change_password))
        // Administrators
        .route("/projects/new", get().to(project::new))
        .route("/projects/new", post().to(project::create))
        .route("/admin/people", get().to(admin::people))
        .route("/admin/people", post().to(admin::create_person))
        .route("/admin/people/{account}/reset", post().to(admin::reset_password))
        .route("/admin/people/{account}/disable", post().to(admin::disable))
        // A project: its people
        .route("/projects/{project}", get().to(project::show))
        .route("/projects/{project}/settings", post().to(project::change))
        .route("/projects/{project}/people", get().to(people::show))
        .route("/projects/{project}/people", post().to(people::add))
        .route("/projects/{project}/people/{account}/remove", post().to(people::remove))
        // A project: its prompts and the work of its annotators
        .route("/projects/{project}/prompts", get().to(prompts::show))
        .route("/projects/{project}/prompts", post().to(prompts::paste))
        .route("/projects/{project}/prompts/upload", post().to(prompts::upload))
        .route("/projects/{project}/export/{format}.jsonl", get().to(prompts::download))
        .route("/projects/{project}/demonstrate", get().to(task::demonstrate))
        .route("/projects/{project}/compare", get().to(task::compare))
        .route("/projects/{project}/tasks/{assignment}", get().to(task::show))
        .route("/projects/{project}/tasks/{assignment}", post().to(task::submit))
        .route("/projects/{project}/tasks/{assignment}/skip", post().to(task::skip))
        .route("/projects/{project}/tasks/{assignment}/draft", post().to(task::save_draft))
        .route("/projects/{project}/tasks/{assignment}/preview", post().to(task::preview))
        // A project: its engineers' runs and models
        .route("/projects/{project}/runs", get().to(runs::list))
        .route("/projects/{project}/runs/new/{kind}", get().to(runs::new::show))
        .route("/projects/{project}/runs/new/{kind}", post().to(runs::new::launch))
        .route("/projects/{project}/runs/{run}", get().to(runs::show::show))
        .route("/projects/{project}/runs/{run}/events", get().to(runs::events::follow))
        .route("/projects/{project}/runs/{run}/cancel", post().to(runs::cancel::cancel))
        .route("/projects/{project}/models", get().to(models::list))
        .route("/projects/{project}/models/{model}", get().to(models::show))
        .route("/projects/{project}/models/{model}/download", get().to(models::download::download))
        ;
}
