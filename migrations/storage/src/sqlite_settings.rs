//! What is set of SQLite itself, which no statement can.

use libsqlite3_sys::{
    SQLITE_CONFIG_MEMSTATUS, SQLITE_DBCONFIG_ENABLE_QPSG, SQLITE_OK, sqlite3_config,
    sqlite3_db_config,
};
use sea_orm::sqlx::{Error, SqliteConnection};
use std::{ffi::c_int, ptr, sync::Once};

/// Before the first connection: SQLite counts no memory. To count, every allocation of every
/// connection would take one lock.
pub(crate) fn of_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let off: c_int = 0;
        // SAFETY: this option takes an int. SQLite refuses it once it is in use, which changes nothing.
        let code = unsafe { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, off) };
        if code != SQLITE_OK {
            tracing::debug!(code, "SQLite goes on counting its memory");
        }
    });
}

/// Of a connection: a statement that was prepared keeps its plan (SQLite's query planner stability
/// guarantee). Without it a statement is prepared anew for every value that its plan might depend
/// on, and a bound LIMIT is one: that is most statements of this program, and was a tenth of its
/// time. A literal still chooses a partial index, a bound value does not.
pub(crate) async fn of_connection(connection: &mut SqliteConnection) -> Result<(), Error> {
    let mut handle = connection.lock_handle().await?;
    let (on, not_asked): (c_int, *mut c_int) = (1, ptr::null_mut());
    // SAFETY: the handle is of an open connection that nobody else uses while it is locked, and this
    // option takes an int and a pointer that may be null.
    let code = unsafe {
        sqlite3_db_config(
            handle.as_raw_handle().as_ptr(),
            SQLITE_DBCONFIG_ENABLE_QPSG,
            on,
            not_asked,
        )
    };
    if code == SQLITE_OK {
        Ok(())
    } else {
        Err(Error::Configuration(format!("SQLite refused an option with code {code}").into()))
    }
}
