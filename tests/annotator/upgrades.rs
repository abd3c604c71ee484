//! Two versions at once, while one takes over from the other.

use crate::support::{
    app::{Server, TestApp, Worker},
    database::TestDb,
};
use entity::hash::sha256_hex;
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_other_version_gets_its_files_and_never_others_under_their_address() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let shared = app.database.folder.path().join("artifacts/static");
    let ask = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", app.server.url)).await.unwrap();
        let kept = answer.headers()["cache-control"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), kept, answer.text().await.unwrap())
    };
    // Another version lays its files there when it starts.
    let (own, style) = (annotator::web::assets::url("app.css"), "body { color: red }");
    let hash = sha256_hex(style)[..12].to_owned();
    let place = shared.join(&hash);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("app.css"), style).unwrap();
    let forever = "public, max-age=31536000, immutable".to_owned();
    assert_eq!(ask(&format!("/static/{hash}/app.css")).await, (200, forever, style.to_owned()));
    assert_ne!(ask(&own).await.2, style);

    fs::write(place.join("other.css"), "body { color: blue }").unwrap();
    fs::write(app.database.folder.path().join("secret"), style).unwrap();
    for path in [
        format!("/static/{hash}/other.css"),
        format!("/static/{hash}/none.css"),
        "/static/000000000000/app.css".to_owned(),
        format!("/static/{hash}/..%2f..%2f..%2fsecret"),
        format!("/static/..%2f..%2f{hash}/app.css"),
    ] {
        let (status, kept, _) = ask(&path).await;
        assert_eq!((status, kept.as_str()), (404, "no-store"), "{path}");
    }

    // This version has laid its own there, and another that starts leaves what is in use.
    let (mine, name) = own.trim_start_matches("/static/").split_once('/').unwrap();
    assert!(shared.join(mine).join(name).is_file());
    let second = tokio::task::block_in_place(|| Server::start(&app.database, Worker::None));
    assert!(place.join("app.css").is_file());
    drop(second);
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(40 * 24 * 60 * 60);
    for file in fs::read_dir(&place).unwrap().flatten() {
        fs::File::options().append(true).open(file.path()).unwrap().set_modified(long_ago).unwrap();
    }
    let third = tokio::task::block_in_place(|| Server::start(&app.database, Worker::None));
    assert!(!place.exists(), "what is long out of use goes");
    drop(third);
}
