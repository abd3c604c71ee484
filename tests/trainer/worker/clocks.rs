//! Workers whose clocks differ.

use super::site::{HANG, SUCCEED, Site};
use crate::support::{app::clean, binaries, database::on_both_databases};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A library that, loaded before all others, sets a program's clock a minute ahead. The database's own
/// clock is untouched, on SQLite too, which asks for the time by another function.
const AHEAD: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *time) {
    int (*real)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, time);
    if (id == CLOCK_REALTIME) time->tv_sec += 60;
    return result;
}
"#;

fn clock_ahead(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("ahead.c"), folder.join("ahead.so"));
    std::fs::write(&source, AHEAD).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    assert!(compiler.status().expect("a C compiler").success());
    library
}

on_both_databases! {
    async fn a_worker_whose_clock_is_ahead_takes_no_run_that_another_holds(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let lease = Duration::from_secs(30);
        let holder = site.worker("holder", HANG, lease).await;
        let held = holder.claim().await.unwrap().unwrap();
        let other = site.worker("other", SUCCEED, lease).await;

        let folder = site.test.folder.path();
        let mut worker = Command::new(binaries::trainer());
        clean(&mut worker)
            .args(["worker", "--once", "--database-url", &site.test.url, "--artifacts"])
            .arg(folder.join("artifacts"))
            .arg("--child")
            .arg(&other.program)
            .env("LD_PRELOAD", clock_ahead(folder));
        let output = tokio::task::block_in_place(|| worker.output().unwrap());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let run = site.run(id).await;
        assert_eq!((run.attempt, run.worker.as_deref()), (held.attempt, Some("holder")), "{said}");

        // What nobody holds any more it takes, whatever its clock says.
        let soon = site.worker("soon", SUCCEED, Duration::from_millis(1)).await;
        let fallen = site.queue().await;
        assert_eq!(soon.claim().await.unwrap().unwrap().id, fallen);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let output = tokio::task::block_in_place(|| worker.output().unwrap());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(site.run(fallen).await.attempt, 2);
    }
}
