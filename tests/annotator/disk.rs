//! What the administrator is told of the disk.

use crate::support::{
    app::{TestApp, Worker},
    builders::{add_model, add_run, add_twin},
    database::on_both_databases,
};
use entity::{artifact, ids::ProjectId};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};
use storage::artifact_store::ArtifactStore;

const MIB: i64 = 1 << 20;

on_both_databases! {
    async fn every_project_is_told_with_what_it_holds_and_what_is_shared_counts_once(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let (farm, barn) = (app.new_project("Farm").await, app.new_project("Barn").await);
        let id = |project: &str| -> ProjectId { project.rsplit('/').next().unwrap().parse().unwrap() };
        let store = ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap();
        let cow = add_model(&app.rows, &store, id(&farm), "cow").await;
        add_twin(&app.rows, cow, "calf").await;
        add_model(&app.rows, &store, id(&barn), "owl").await;
        for row in artifact::Entity::find().all(&app.rows).await.unwrap() {
            let large = artifact::ActiveModel { hash: Set(row.hash), n_bytes: Set(3 * MIB), ..Default::default() };
            large.update(&app.rows).await.unwrap();
        }
        let run = add_run(&app.rows, id(&barn)).await;
        let checkpoint = store.run_folder(run).join("1/output/checkpoint-1");
        std::fs::create_dir_all(&checkpoint).unwrap();
        std::fs::write(checkpoint.join("state"), vec![0; 2 * MIB as usize]).unwrap();
        let unknown = store.incoming().unwrap();
        std::fs::write(unknown.join("model"), vec![0; MIB as usize]).unwrap();
        store.adopt(&unknown).unwrap();
        let being_filled = store.incoming().unwrap();
        std::fs::write(being_filled.join("model"), vec![0; 4 * MIB as usize]).unwrap();

        let page = app.admin.get("/admin/disk").await;
        let rows = page.texts("table.sizes tbody tr");
        let row = |name: &str| rows.iter().find(|row| row.starts_with(name)).unwrap().as_str();
        assert_eq!(row("Farm"), "Farm 3.0 MiB 0 B 0 B 0 B 3.0 MiB");
        assert_eq!(row("Barn"), "Barn 3.0 MiB 0 B 0 B 2.0 MiB 5.0 MiB");
        let figures = page.texts(".figures dd");
        assert_eq!(figures[1..], ["8.0 MiB", "4.0 MiB", "1.0 MiB"], "held, going, unknown");
        assert!(page.links("main a").contains(&format!("{farm}/models/{cow}/delete")));
        let list = app.admin.get(&format!("{farm}/models")).await;
        assert!(list.text().contains("The project's own models take 3.0 MiB"), "{}", list.text());

        let form = app.admin.get(&format!("{barn}/delete")).await.form("/delete").with("name", "Barn");
        app.admin.submit(form).await;
        let page = app.admin.get("/admin/disk").await;
        let rows = page.texts("table.sizes tbody tr");
        assert!(rows.contains(&"Barn deleted 3.0 MiB 0 B 0 B 2.0 MiB 5.0 MiB".to_owned()), "{rows:?}");
        assert!(!page.links("main a").iter().any(|link| link.starts_with(&barn)));
    }
}
