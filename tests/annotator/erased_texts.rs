//! Texts that are to be erased, and those that were: found however they are spelt.

use crate::support::{
    app::{TestApp, Worker},
    backups::done,
    database::on_both_databases,
};
use entity::{hash::sha256_hex, text, time::UnixMillis};
use sea_orm::{ActiveValue::Set, DatabaseConnection, EntityTrait};

async fn keep(db: &DatabaseConnection, body: &str) -> String {
    let hash = sha256_hex(body);
    let row = text::ActiveModel {
        hash: Set(hash.clone()),
        body: Set(Some(body.to_owned())),
        created_at: Set(UnixMillis::now()),
    };
    text::Entity::insert(row).exec_without_returning(db).await.unwrap();
    hash
}

on_both_databases! {
    async fn a_text_is_found_however_its_letters_are_composed_and_large(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let decomposed = keep(&app.rows, "Zoe\u{308}  QUXTROP\nwohnt in der Stra\u{df}e am Fu\u{df}.").await;
        let russian = keep(&app.rows, "\u{41d}\u{430}\u{442}\u{430}\u{43b}\u{44c}\u{44f} \u{417}\u{430}\u{440}\u{43a}\u{443}\u{451}\u{432}\u{430}").await;
        let prompt = keep(&app.rows, r#"[{"role":"user","content":"Who is\n\"Bjorn [X*] Quxtrop\"?"}]"#).await;
        let greek = keep(&app.rows, "\u{39f} \u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}").await;
        for n in 0..300 {
            keep(&app.rows, &format!("Zoe Quxtrap, quxtrop-number {n}, \u{437}\u{430}\u{440}\u{43a}\u{443}\u{43b}")).await;
        }
        let looked_up = [
            ("zo\u{eb} quxtrop wohnt", &decomposed),
            ("IN DER STRASSE AM FUSS", &decomposed),
            ("\u{437}\u{430}\u{440}\u{43a}\u{443}\u{435}\u{308}\u{432}\u{410}", &russian),
            ("\u{417}\u{410}\u{420}\u{41a}\u{423}\u{401}\u{412}\u{410}", &russian),
            ("who is \"bjorn [x*] q", &prompt),
            ("\u{3c3}\u{399}\u{301}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}", &greek),
        ];
        for (words, hash) in looked_up {
            let query: String = form_urlencoded(words);
            let page = app.admin.get(&format!("/admin/erasures?words={query}")).await;
            let found = page.links("main ul li a");
            assert_eq!(found, [format!("/admin/erasures/texts/{hash}")], "{words}");
        }
        let order = ["erase", "--containing", "zo\u{eb} QUXTROP", "--reason", "asked"];
        let told = done(&app.database, &order);
        assert!(told.contains(&decomposed) && !told.contains(&prompt), "{told}");
        let nothing = app.admin.get("/admin/erasures?words=Quxtrip").await;
        assert!(nothing.links("main ul li a").is_empty());
    }
}

fn form_urlencoded(words: &str) -> String {
    words.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
