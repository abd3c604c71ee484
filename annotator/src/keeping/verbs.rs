//! `annotator backup`, `restore`, `erase` and `export-person`.

use crate::{
    config::{BackupConfig, EraseConfig, ExportPersonConfig, RestoreConfig, StorageConfig},
    database,
    keeping::{
        backup::{self, manifest::BackupManifest, target},
        erasure::{
            ErasureOrder,
            elsewhere::{self, WordsElsewhere},
            export,
            finish::{self, Remains},
            people::{self, WrittenTexts},
            search::{self, FoundText},
            texts,
            uses::TextUses,
        },
        restore,
    },
    people::accounts,
};
use anyhow::{Context, ensure};
use entity::{account, text};
use sea_orm::{DatabaseConnection, EntityTrait};
use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use storage::artifact_store::ArtifactStore;

/// Texts that are in memory at once while those to be erased are looked for.
const LOOKED_AT: usize = 100;

/// Texts of which is said how they begin and where they are used; the others are counted.
const SHOWN: usize = 20;

/// Copies everything into a folder while the service runs.
pub async fn back_up(request: BackupConfig) -> anyhow::Result<()> {
    ensure!(request.out != Path::new("-"), "a backup is a folder: name one with --out");
    target::refuse_own(&request.out, &request.storage)?;
    let db = database::connect_existing(&request.storage).await?;
    let store = existing_store(&request.storage)?;
    let store = (!request.rows_only).then_some(&store);
    let manifest = backup::write(&db, store, &request.out).await?;
    println!("{} holds {}", request.out.display(), summary(&manifest));
    if !manifest.missing.is_empty() {
        println!(
            "{} artifacts that the database knows were not on the disk: those of deleted models and projects are not",
            manifest.missing.len()
        );
    }
    Ok(())
}

/// The artifact store that the service writes to: one made anew here would be empty, and a backup or
/// an erasure of it would say that all is well.
fn existing_store(storage: &StorageConfig) -> anyhow::Result<ArtifactStore> {
    let folder = storage.artifacts_dir();
    // Beside the database, it is where the service makes it; before its first start there is none.
    let is_own = storage.artifacts.is_none() && storage.database_url.is_none();
    ensure!(
        folder.is_dir() || is_own && storage.embedded().is_file(),
        "there is no artifacts folder {}; name the one that the service has with --artifacts (ATTUNE_ARTIFACTS)",
        folder.display()
    );
    Ok(ArtifactStore::open_writable(folder)?)
}

/// Puts a backup into an empty database.
pub async fn restore(request: RestoreConfig) -> anyhow::Result<()> {
    BackupManifest::open(&request.folder)?;
    let db = database::connect(&request.storage).await?;
    let store = ArtifactStore::open_writable(request.storage.artifacts_dir())?;
    let erasures = request.erasures.as_deref();
    let report = restore::restore(&db, &store, &request.folder, erasures).await?;
    println!("Restored {}, each with the hash that the backup has", summary(&report.manifest));
    if report.manifest.artifacts.is_none() {
        println!("It was a backup of the rows alone: models and dataset versions are not there");
    }
    if !report.own_list_is_used {
        println!(
            "The backup's own list of erasures was changed or damaged, and was not used: only the other lists were"
        );
    }
    if report.n_erased > 0 {
        println!("{} texts and people that had been erased were erased again", report.n_erased);
    }
    if report.has_no_administrator {
        println!(
            "Nobody administers it now: whoever did was erased since, or is locked. Make an administrator with `annotator create-user --admin --login LOGIN --name NAME`"
        );
    }
    if report.n_interrupted > 0 {
        println!(
            "{} runs that were under way begin anew when a worker is free",
            report.n_interrupted
        );
    }
    Ok(())
}

/// Removes texts or who somebody was; without `--yes` it says what would go.
pub async fn erase(request: EraseConfig) -> anyhow::Result<()> {
    let order = ErasureOrder::by_shell(&request.reason)?.with_guidelines(request.guidelines);
    let db = database::open_existing(&request.storage).await?;
    let store = existing_store(&request.storage)?;
    let n_erased = match &request.person {
        Some(login) => erase_person(&db, &store, &request, login, &order).await?,
        None => erase_texts(&db, &store, &request, &order).await?,
    };
    if !request.yes {
        println!("Nothing was changed: say --yes to erase it for good");
        return Ok(());
    }
    let left = match finish::finish(&db, &store).await? {
        Remains::Nothing => "nothing of it is left in the database and the artifacts",
        Remains::InUse => {
            "the web app removes what is left on the disk when nobody reads it any more"
        }
    };
    println!("Erased {n_erased}; {left}. Backups still have it.");
    Ok(())
}

async fn erase_texts(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    request: &EraseConfig,
    order: &ErasureOrder,
) -> anyhow::Result<usize> {
    let words = request.text.as_ref().or(request.containing.as_ref()).cloned().unwrap_or_default();
    ensure!(!words.trim().is_empty(), "say which words");
    let (mut hashes, mut after) = (Vec::new(), None);
    let mut shown = Vec::new();
    loop {
        let found = search::find(db, &words, after, LOOKED_AT).await?;
        let is_last = found.len() < LOOKED_AT;
        after = found.last().map(FoundText::place);
        for text in found.into_iter().filter(|text| text.beginning.is_some()) {
            hashes.push(text.hash.clone());
            if shown.len() < SHOWN {
                shown.push(text);
            }
        }
        if is_last {
            break;
        }
    }
    ensure!(
        !hashes.is_empty(),
        "there is no such text; a draft is none before it is sent, and goes with its person"
    );
    if !request.yes {
        show(db, &shown, hashes.len()).await?;
    }
    say_elsewhere(db, &hashes, order).await?;
    if request.yes {
        return texts::erase(db, store, &hashes, order).await;
    }
    if request.containing.is_some() {
        println!("These words are looked for within longer ones, too: read what would go");
    }
    Ok(0)
}

/// Says which texts would go, and where they are used.
async fn show(db: &DatabaseConnection, texts: &[FoundText], n: usize) -> anyhow::Result<()> {
    for text in texts {
        println!("{}  {}", text.hash, used(&TextUses::of(db, &text.hash).await?));
        println!("    {}", text.beginning.as_deref().unwrap_or_default());
        for copy in search::copies(db, &text.hash).await? {
            println!("    with its copy {}", copy.hash);
        }
    }
    if n > texts.len() {
        println!("and {} more", n - texts.len());
    }
    Ok(())
}

/// Says what of the words of some texts stands among other people's, and what becomes of it.
async fn say_elsewhere(
    db: &DatabaseConnection,
    hashes: &[String],
    order: &ErasureOrder,
) -> anyhow::Result<()> {
    let becomes = match order.guidelines {
        true => "goes from there, too",
        false => "stays there; --guidelines takes it out",
    };
    let mut named = BTreeSet::new();
    let guidelines = elsewhere::guidelines(db).await?;
    for hash in hashes {
        let Some(text) = text::Entity::find_by_id(hash).one(db).await? else { continue };
        let elsewhere = WordsElsewhere::of(db, &text, &guidelines).await?;
        for project in elsewhere.guidelines.into_iter().filter(|project| named.insert(project.id)) {
            println!("{hash}  in the guidelines of {}: {becomes}", project.name);
        }
        if elsewhere.shares_system {
            println!(
                "{hash}  its system message is that of other prompts, too, and stays elsewhere"
            );
        }
    }
    Ok(())
}

fn used(uses: &TextUses) -> String {
    format!(
        "in {} prompts, {} judgements, {} model answers, {} dataset versions, {} models",
        uses.prompts.n, uses.judgements.n, uses.n_completions, uses.versions.n, uses.models.n
    )
}

async fn erase_person(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    request: &EraseConfig,
    login: &str,
    order: &ErasureOrder,
) -> anyhow::Result<usize> {
    let account = person(db, login).await?;
    println!("{}  {}", account.id, account.display_name);
    let written = if request.with_texts { WrittenTexts::Go } else { WrittenTexts::Stay };
    if request.yes {
        return Ok(1 + people::erase(db, store, account.id, written, order).await?);
    }
    if written == WrittenTexts::Go {
        let own = people::own_texts(db, account.id).await?;
        println!("and the texts that they alone wrote: {}", own.len());
        let shown = search::beginnings(db, own.get(..SHOWN).unwrap_or(&own)).await?;
        show(db, &shown, own.len()).await?;
    }
    Ok(0)
}

async fn person(db: &DatabaseConnection, login: &str) -> anyhow::Result<account::Model> {
    let found = accounts::find_by_login(db, login).await?;
    found.with_context(|| format!("there is no account with the login {login}"))
}

/// Writes everything that is kept of one person.
pub async fn export_person(request: ExportPersonConfig) -> anyhow::Result<()> {
    let db = database::open_existing(&request.storage).await?;
    let account = person(&db, &request.login).await?;
    let mut rows = export::of_person(&db, &account, None).await?;
    if request.out == Path::new("-") {
        let mut out = io::stdout().lock();
        io::copy(&mut rows, &mut out).context("cannot write the rows")?;
        return out.flush().context("cannot write the rows");
    }
    let shown = request.out.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&request.out);
    let mut file = file.with_context(|| format!("cannot make {shown}"))?;
    io::copy(&mut rows, &mut file).with_context(|| format!("cannot write {shown}"))?;
    Ok(())
}

fn summary(manifest: &BackupManifest) -> String {
    let (n_rows, n_tables) = (manifest.n_rows(), manifest.tables.len());
    match &manifest.artifacts {
        Some(artifacts) => {
            format!("{n_rows} rows of {n_tables} tables and {} artifacts", artifacts.len())
        }
        None => format!("{n_rows} rows of {n_tables} tables"),
    }
}
