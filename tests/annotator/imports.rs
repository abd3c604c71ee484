//! Files that go into a project while everybody works: in short transactions, in the background,
//! through restarts, and with a sentence for whatever will not do.

use super::{bench::Bench, flood::peak_resident_bytes};
use crate::support::{
    app::{TestApp, Worker, clean},
    binaries,
    database::{TestDb, on_both_databases},
    eventually,
    web::{Page, Visitor},
};
use annotator::data::{
    dataset::{self, DatasetContents},
    formats::row::ImportRow,
    import::store,
};
use entity::{
    audit_log,
    dataset_version::DatasetKind,
    ids::{ImportId, ProjectId},
    import::{self, ImportState},
    judgement, prompt, task,
};
use flate2::{Compression, write::GzEncoder};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    time::Duration,
};
use storage::{artifact_store::ArtifactStore, database::begin_write};

/// Rows that take a while to go in.
const MANY: usize = 6_000;

fn many_rows() -> String {
    let row = |n| format!("{{\"prompt\":\"Question {n}?\",\"completion\":\"Answer {n}.\"}}\n");
    (0..MANY).map(row).collect()
}

/// A project into which somebody sends files.
struct Office {
    app: TestApp,
    project: String,
}

impl Office {
    async fn open(database: TestDb) -> Self {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Office").await;
        Self { app, project }
    }

    fn id(&self) -> ProjectId {
        self.project.rsplit('/').next().unwrap().parse().unwrap()
    }

    async fn row(&self, page: &Page) -> import::Model {
        let id: ImportId = page.id().parse().expect("the page of an import");
        import::Entity::find_by_id(id).one(&self.app.rows).await.unwrap().expect("its row")
    }

    /// Sends many rows and returns when some of them are in, and not all.
    async fn half_way(&self) -> Page {
        let request = self.app.admin.rows_request(&self.project, many_rows(), &[]).await;
        tokio::spawn(request.send()); // nobody waits for the answer
        let some = async || {
            let row = import::Entity::find().one(&self.app.rows).await.unwrap()?;
            assert!(!row.is_over(), "it was too fast to be seen: {row:?}");
            (row.n_done > 0).then_some(row)
        };
        let row = eventually(Duration::from_secs(60), some, || "nothing comes in".to_owned()).await;
        self.app.admin.get(&format!("{}/imports/{}", self.project, row.id)).await
    }

    async fn n_prompts(&self) -> u64 {
        let of_project = prompt::Column::ProjectId.eq(self.id());
        prompt::Entity::find().filter(of_project).count(&self.app.rows).await.unwrap()
    }

    async fn n_judgements(&self) -> u64 {
        judgement::Entity::find().count(&self.app.rows).await.unwrap()
    }

    /// Every row is in, once.
    async fn all_is_in(&self, row: &import::Model) {
        assert_eq!(row.state, ImportState::Done, "{:?}", row.why());
        assert_eq!(row.n_done, MANY as i64);
        assert_eq!((self.n_prompts().await, self.n_judgements().await), (MANY as u64, MANY as u64));
        let tasks = task::Entity::find().filter(task::Column::ProjectId.eq(self.id()));
        assert_eq!(tasks.count(&self.app.rows).await.unwrap(), MANY as u64);
        self.has_no_files().await;
    }

    /// The file goes after the import's end is stored.
    async fn has_no_files(&self) {
        let none = async || self.files().is_empty().then_some(());
        let stays = || format!("the file stays: {:?}", self.files());
        eventually(Duration::from_secs(30), none, stays).await;
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        let folder = self.app.database.folder.path().join("imports");
        let entries = std::fs::read_dir(folder).expect("the folder").flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Kills the service at once and starts it anew on the same data.
    async fn restart(&mut self) {
        let password = self.app.server.first_password.clone().expect("of the first start");
        self.app.kill_and_start(Worker::None);
        self.app.admin = Visitor::new(&self.app.server.url);
        self.app.admin.sign_in("admin", &password).await;
    }
}

on_both_databases! {
    async fn a_large_file_goes_in_while_everybody_works(database: TestDb) {
        let office = Office::open(database).await;
        let writer = office.app.new_person(&office.project, "writer", &["annotator"]).await;
        let asked = (0..12).map(|n| format!("What do you say to {n}?"));
        office.app.add_prompts(&office.project, asked).await;
        let page = office.half_way().await;
        let [file] = &office.files()[..] else { panic!("{:?}", office.files()) };
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(page.text().contains("You need not wait"), "{}", page.text());

        let mut task = writer.get(&format!("{}/demonstrate", office.project)).await;
        let mut n_written = 0;
        while !office.row(&page).await.is_over() && n_written < 12 {
            let form = task.form(task.url.path()).with("answer", format!("Answer {n_written}."));
            task = writer.submit(form).await;
            n_written += 1;
        }
        assert!(n_written > 0, "nobody worked meanwhile");

        let over = office.app.admin.import_over(page).await;
        let row = office.row(&over).await;
        assert_eq!(row.state, ImportState::Done, "{:?}", row.why());
        assert_eq!(row.counts.new[&DatasetKind::Demonstrations], MANY as u64);
        assert_eq!(office.n_judgements().await, (MANY + n_written) as u64);
        let lines = audit_log::Entity::find().filter(audit_log::Column::Action.eq("prompt.import"));
        let lines = lines.all(&office.app.rows).await.unwrap();
        let line = lines.iter().find(|line| line.details["import"] == row.id.to_string());
        assert_eq!(line.expect("a line").details["new"], MANY);
        office.has_no_files().await;
    }
}

on_both_databases! {
    async fn an_import_that_a_crash_cut_short_goes_on_and_doubles_nothing(database: TestDb) {
        let mut office = Office::open(database).await;
        let page = office.half_way().await;
        office.restart().await;
        assert!(office.row(&page).await.n_done < MANY as i64, "it was over already");
        let over = office.app.admin.import_over(page).await;
        let row = office.row(&over).await;
        assert_eq!(row.counts.new_rows(), MANY as u64);
        assert_eq!(row.counts.known, 0, "no row was stored twice");
        office.all_is_in(&row).await;
    }
}

on_both_databases! {
    async fn an_import_that_was_stopped_says_what_stays_and_can_go_on(database: TestDb) {
        let office = Office::open(database).await;
        let page = office.half_way().await;
        let stopped = office.app.admin.get(page.url.path()).await.form("/cancel");
        let over = office.app.admin.submit(stopped).await;
        let over = office.app.admin.import_over(over).await;
        let row = office.row(&over).await;
        assert_eq!(row.state, ImportState::Cancelled);
        assert!(row.n_done > 0 && row.n_done < MANY as i64, "{row:?}");
        assert_eq!(office.n_prompts().await, row.n_done as u64, "what it says is what is there");
        assert_eq!(office.n_judgements().await, row.n_done as u64);
        assert!(over.text().contains("Send the same file again"), "{}", over.text());
        office.has_no_files().await;

        // The half that is in is as good as any: it can be frozen.
        let store = ArtifactStore::open(office.app.database.folder.path().join("artifacts")).unwrap();
        let contents = DatasetContents::Demonstrations;
        let frozen = dataset::freeze(&office.app.rows, &store, office.id(), contents).await.unwrap();
        let version = frozen.record(&office.app.rows, None).await;
        assert!(version.is_ok(), "{version:?}");

        let again = office.app.admin.bring_in(&office.project, many_rows()).await;
        let again = office.row(&again).await;
        assert_eq!(again.counts.known, row.n_done as u64);
        office.all_is_in(&again).await;
    }
}

on_both_databases! {
    async fn a_project_that_is_deleted_ends_its_imports(database: TestDb) {
        let office = Office::open(database).await;
        let page = office.half_way().await;
        let form = office.app.admin.get(&format!("{}/delete", office.project)).await.form("/delete");
        office.app.admin.submit(form.with("name", "Office")).await;
        let over = async || Some(office.row(&page).await).filter(import::Model::is_over);
        let row = eventually(Duration::from_secs(60), over, || "it goes on".to_owned()).await;
        assert_eq!(row.state, ImportState::Cancelled);
        assert!(row.why().is_some_and(|why| why.text.contains("deleted")), "{row:?}");
        assert_eq!(office.n_prompts().await, row.n_done as u64);
    }
}

on_both_databases! {
    async fn a_file_with_rows_that_cannot_be_read_names_them_all_and_brings_nothing(database: TestDb) {
        let office = Office::open(database).await;
        let bad = "{\"prompt\":[{\"role\":\"user\",\"content\":\"\"}]}\n{\"prompt\":\"\\u200b\"}\n\
                   {\"prompt\":\"Q\",\"prompt\":\"R\"}\n{\"prompt\":\"Q\",\"chosen\":\"A\",\"rejected\":\"A\"}\n";
        let file = format!("{{\"prompt\":\"Fine\"}}\n{bad}{{\"prompt\":\"Fine too\"}}\n{}", "x\n".repeat(200));
        let page = office.app.admin.bring_in(&office.project, file.clone()).await;
        let row = office.row(&page).await;
        assert_eq!((row.state, row.n_rows, row.n_refused), (ImportState::Refused, 2, 204));
        assert_eq!(office.n_prompts().await, 0);
        let cells = page.texts("#import-status td");
        assert_eq!(cells.len(), 200, "a hundred lines with a reason each");
        assert_eq!(cells[0], "2");
        for (cell, says) in [(1, "message 1 of field `prompt` is empty"), (3, "`prompt` is empty"),
            (5, "duplicate field `prompt`"), (7, "say the same")] {
            assert!(cells[cell].contains(says), "{cells:?}");
        }
        for says in ["204 of 206 rows", "The first 100 of 204", "Nothing was imported"] {
            assert!(page.text().contains(says), "{}", page.text());
        }

        let page = office.app.admin.send_rows(&office.project, file, &[("leave_out", "yes")]).await;
        let page = office.app.admin.import_over(page).await;
        let row = office.row(&page).await;
        assert_eq!((row.state, row.n_done), (ImportState::Done, 2));
        assert_eq!(office.n_prompts().await, 2);
        assert!(page.text().contains("Left out 204") || page.text().contains("Left out204"), "{}", page.text());
    }
}

on_both_databases! {
    async fn the_same_file_sent_twice_in_a_moment_is_one_import(database: TestDb) {
        let office = Office::open(database).await;
        let send = || office.app.admin.send_rows(&office.project, "{\"prompt\":\"Q\"}\n", &[]);
        let (first, second) = (send().await, send().await);
        assert_eq!(first.url, second.url);
        assert_eq!(import::Entity::find().count(&office.app.rows).await.unwrap(), 1);
        let nothing = office.app.admin.send_rows(&office.project, "", &[]).await;
        assert_eq!(nothing.status, 422);
        assert!(nothing.text().contains("Choose a file"), "{}", nothing.text());
    }
}

on_both_databases! {
    async fn a_small_file_that_unpacks_to_much_takes_no_memory(database: TestDb) {
        let office = Office::open(database).await;
        let row = format!("{{\"prompt\":\"{}\"}}\n", "a".repeat(1 << 19));
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..600 {
            gzip.write_all(row.as_bytes()).unwrap();
        }
        let bomb = gzip.finish().unwrap();
        assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
        let before = peak_resident_bytes(office.app.server.process());
        let page = office.app.admin.bring_in(&office.project, bomb).await;
        let told = &page.texts(".note.failure")[0];
        assert_eq!(told, "unpacked, the file is larger than 256 MB; send it in parts");
        // The system counts pages in steps: a peak may look a little lower than it did.
        let taken = peak_resident_bytes(office.app.server.process()).saturating_sub(before);
        assert!(taken < 64 << 20, "it took {} MB", taken >> 20);
    }
}

on_both_databases! {
    async fn what_is_small_and_of_very_many_parts_takes_no_memory(database: TestDb) {
        let office = Office::open(database).await;
        let server = office.app.server.process();
        let before = peak_resident_bytes(server);
        let taken = || peak_resident_bytes(server).saturating_sub(before) >> 20;

        let row = format!("{{\"prompt\":[{}{{}}]}}", "{\"\":0},".repeat(1_000_000));
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(row.as_bytes()).unwrap();
        let small = gzip.finish().unwrap();
        assert!(small.len() < 20_000, "{} bytes", small.len());
        let page = office.app.admin.bring_in(&office.project, small).await;
        assert!(page.text().contains("too many values"), "{}", page.text());
        assert!(taken() < 100, "the row took {} MB", taken());

        let token = office.app.admin.token().await;
        let form = format!("csrf={token}{}", "&a".repeat(4_000_000));
        let kind = "application/x-www-form-urlencoded";
        for address in ["/language", "/settings/password"] {
            let page = office.app.admin.send_body(address, kind, &token, &form).await;
            assert_eq!(page.status, 400, "{address}");
        }
        assert!(taken() < 150, "with the forms it took {} MB", taken());
    }
}

on_both_databases! {
    async fn two_who_store_the_same_rows_in_opposite_order_do_not_lock_each_other_out(database: TestDb) {
        let bench = Bench::new(database).await;
        for round in 0..5 {
            let row = |n: usize| {
                let asks = n % 3;
                let line = match asks {
                    0 => format!("{{\"prompt\":\"P{round}.{n}\"}}"),
                    1 => format!("{{\"prompt\":\"P{round}.{n}\",\"completion\":\"A{n}\"}}"),
                    _ => format!("{{\"prompt\":\"P{round}.{n}\",\"chosen\":\"A{n}\",\"rejected\":\"B{n}\"}}"),
                };
                ImportRow::parse(&line).unwrap()
            };
            let forth: Vec<_> = (0..200).map(row).collect();
            let back: Vec<_> = (0..200).rev().map(row).collect();
            // Without a second try: what must not happen would be mended by it.
            let give = async |rows: &[ImportRow]| {
                let turn = begin_write(&bench.db).await?;
                let stored = store::store(&turn, bench.project, rows).await?;
                turn.commit().await?;
                Ok::<_, sea_orm::DbErr>(stored.counts)
            };
            let (one, other) = tokio::join!(give(&forth), give(&back));
            let (one, other) = (one.expect("it goes in"), other.expect("it goes in"));
            assert_eq!((one.new_rows() + other.new_rows(), one.known + other.known), (200, 200));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_tells_every_row_and_leaves_them_out_if_it_is_told_to() {
    let database = TestDb::sqlite().await;
    let file = database.folder.path().join("rows.jsonl");
    std::fs::write(&file, "{\"prompt\":\"Q\"}\n{\"prompt\":\" \"}\n{\"text\":\"T\"}\n").unwrap();
    let import = |more: &[&str]| {
        let mut command = Command::new(binaries::annotator());
        let data = database.folder.path();
        clean(&mut command).args(["import", "--project", "Shell"]).args(more).arg(&file);
        command.arg("--data-dir").arg(data).output().expect("the program starts")
    };
    let refused = import(&[]);
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    for says in [
        "2 of 3 rows cannot be read",
        "line 2: field `prompt` is empty",
        "line 3: field `text`",
        "--leave-out",
    ] {
        assert!(said.contains(says), "{said}");
    }
    let taken = import(&["--leave-out"]);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    let said = String::from_utf8(taken.stdout).unwrap();
    assert!(said.contains("1 prompts, 0 demonstrations"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_through_a_pipe_is_imported_as_a_file_is() {
    let database = TestDb::sqlite().await;
    let mut command = Command::new(binaries::annotator());
    clean(&mut command).args(["import", "--project", "Pipe", "/dev/stdin", "--data-dir"]);
    command.arg(database.folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let lines = (0..5000).map(|n| format!("{{\"prompt\":\"Question {n}\"}}\n"));
    child.stdin.take().unwrap().write_all(lines.collect::<String>().as_bytes()).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("5000 prompts, 0 demonstrations"), "{said}");
}

on_both_databases! {
    async fn a_pasted_paragraph_of_as_many_letters_as_the_form_takes_comes_in(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Pasted").await;
        let paragraph = "ы\"".repeat(499_998);
        let form = app.admin.get(&format!("{project}/prompts")).await.form("/prompts");
        let page = app.admin.submit(form.with("prompts", &paragraph)).await;
        app.admin.import_over(page).await;
        let own = prompt::Column::ProjectId.eq(project.rsplit('/').next().unwrap().parse::<ProjectId>().unwrap());
        assert_eq!(prompt::Entity::find().filter(own).count(&app.rows).await.unwrap(), 1);
    }
}
