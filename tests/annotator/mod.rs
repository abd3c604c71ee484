//! The web app: what needs real processes, real forms, or both databases.

// What every answer costs the database.
mod plans;

// Two servers, sixteen people, and the slots of two hundred tasks.
mod project_settings;
mod races;
mod row_use;
mod rule_rewards;

// Whatever people do with a task, in any order.
mod assignments;

// A task that is open in several windows.
mod drafts;

// Who is let in, by whom, and what ends when they are not any more.
mod accounts;

// Who did what.
mod audit;

// Who may open which page, and what guards a session.
mod access;
mod sessions;

// Whoever is not signed in.
mod flood;
mod front_door;
mod odd_requests;

// What whoever watches the service relies on.
mod watching;

// A database that is away, and two versions at once.
mod outages;
mod personal_data;
mod upgrades;

// What becomes of people's words and of models' answers, and who hears of a run.
mod bench;
mod datasets;
mod import_export;
mod imports;
mod lineage;
mod long_lists;
mod many_erasures;
mod run_feed;
mod sample_tasks;
mod short_writes;

// Texts as pages show them.
mod narrow_pages;
mod shown_texts;

// What people type, and what anybody may send.
mod form_fuzz;
mod typed_text;

// A prompt that should not be there.
mod withdrawn_prompts;

// What an engineer sees of runs.
mod launch_forecasts;
mod launch_forms;
mod model_facts;
mod run_pages;

// Talking to a model.
mod chat;

// A base that somebody names and a worker fetches.
mod bases;

// What went wrong, on a Russian page.
mod russian;

// A copy of everything, put together again elsewhere.
mod backups;
mod careful_erasures;
mod erased_people;
mod erased_runs;
mod erased_tasks;
mod erased_texts;
mod erased_words;
mod erasures;
mod large_erasures;

// What becomes of what nobody wants any more, and of what hangs on it.
mod deleted_models;
mod deleted_projects;
mod disk;
mod sweep;

// What must not be lost whoever is killed.
mod kills;
