//! The site map: one line per URL. Tests hold it against the table of who may open what, so a new
//! line needs a row there (`tests/annotator/access.rs`).

use crate::{
    assets,
    handlers::{
        admin, datasets, health, home, judgement, models, notices, people, project, prompt,
        prompts, runs, settings, sign_in, task,
    },
};
use actix_web::{
    Route, guard,
    web::{ServiceConfig, post, route},
};

/// One list, from which [`configure`] serves the URLs and [`ALL`] names them.
macro_rules! site_map {
    ($($method:ident $path:literal => $handler:path;)*) => {
        /// Method and path of every URL.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        pub fn configure(app: &mut ServiceConfig) {
            app$(.route($path, $method().to($handler)))*;
        }
    };
}

/// HEAD asks for what GET would say, without its body.
fn get() -> Route {
    route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

site_map! {
    // Everybody
    get  "/static/{hash}/{name}" => assets::serve;
    get  "/sign-in" => sign_in::show;
    post "/sign-in" => sign_in::sign_in;
    post "/sign-out" => sign_in::sign_out;
    post "/language" => settings::choose_language;
    get  "/health" => health::health;
    get  "/ready" => health::ready;

    // Everybody who is signed in
    get  "/" => home::show;
    get  "/settings" => settings::show;
    post "/settings/password" => settings::change_password;
    get  "/notices" => notices::show;
    get  "/notices/new" => notices::news;
    post "/notices/seen" => notices::see_all;

    // Administrators
    get  "/projects/new" => project::new;
    post "/projects/new" => project::create;
    get  "/admin/people" => admin::people;
    post "/admin/people" => admin::create_person;
    post "/admin/people/{account}/reset" => admin::reset_password;
    post "/admin/people/{account}/disable" => admin::disable;
    get  "/admin/disk" => admin::disk::show;
    get  "/projects/{project}/delete" => project::delete::show;
    post "/projects/{project}/delete" => project::delete::delete;
    post "/projects/{project}/restore" => project::delete::restore;

    // A project: its people
    get  "/projects/{project}" => project::show;
    post "/projects/{project}/settings" => project::change;
    get  "/projects/{project}/people" => people::show;
    post "/projects/{project}/people" => people::add;
    post "/projects/{project}/people/{account}/remove" => people::remove;

    // A project: its prompts and the work of its annotators
    get  "/projects/{project}/prompts" => prompts::show;
    post "/projects/{project}/prompts" => prompts::paste;
    post "/projects/{project}/prompts/upload" => prompts::upload;
    get  "/projects/{project}/export/{format}.jsonl" => prompts::download;
    get  "/projects/{project}/demonstrate" => task::demonstrate;
    get  "/projects/{project}/compare" => task::compare;
    get  "/projects/{project}/tasks/{assignment}" => task::show;
    post "/projects/{project}/tasks/{assignment}" => task::submit;
    post "/projects/{project}/tasks/{assignment}/skip" => task::skip;
    post "/projects/{project}/tasks/{assignment}/draft" => task::save_draft;
    post "/projects/{project}/tasks/{assignment}/preview" => task::preview;

    // A project: what people said, and what was made of it
    get  "/projects/{project}/prompts/{prompt}" => prompt::show;
    post "/projects/{project}/prompts/{prompt}/withdraw" => prompt::withdraw::withdraw;
    post "/projects/{project}/prompts/{prompt}/restore" => prompt::withdraw::restore;
    get  "/projects/{project}/judgements/{judgement}" => judgement::show;
    get  "/projects/{project}/datasets" => datasets::list;
    get  "/projects/{project}/datasets/{version}" => datasets::show;

    // A project: its engineers' runs and models
    get  "/projects/{project}/runs" => runs::list;
    get  "/projects/{project}/runs/new/{kind}" => runs::new::show;
    post "/projects/{project}/runs/new/{kind}" => runs::new::launch;
    get  "/projects/{project}/runs/new/{kind}/facts" => runs::facts::show;
    get  "/projects/{project}/runs/compare" => runs::compare::compare;
    get  "/projects/{project}/runs/{run}" => runs::show::show;
    get  "/projects/{project}/runs/{run}/events" => runs::events::follow;
    post "/projects/{project}/runs/{run}/cancel" => runs::cancel::cancel;
    post "/projects/{project}/runs/{run}/resume" => runs::resume::resume;
    get  "/projects/{project}/models" => models::list;
    get  "/projects/{project}/models/new" => models::new::show;
    post "/projects/{project}/models/new" => models::new::launch;
    get  "/projects/{project}/models/{model}" => models::show;
    get  "/projects/{project}/models/{model}/download" => models::download::download;
    get  "/projects/{project}/models/{model}/chat" => models::chat::show;
    post "/projects/{project}/models/{model}/chat" => models::chat::answer;
    post "/projects/{project}/models/{model}/v1/chat/completions" => models::completions::create;
    get  "/projects/{project}/models/{model}/delete" => models::delete::show;
    post "/projects/{project}/models/{model}/delete" => models::delete::delete;
}
