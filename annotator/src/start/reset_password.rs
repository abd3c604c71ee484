//! `annotator reset-password`: the way back in for an administrator whom nobody else can let in.

use crate::{
    config::ResetPasswordConfig,
    database,
    people::{
        account_changes::{self, ShellReset},
        accounts,
    },
};
use anyhow::bail;

/// Prints a one-time password; every session of the account ends.
pub async fn run(request: ResetPasswordConfig) -> anyhow::Result<()> {
    let db = database::open_existing(&request.storage).await?;
    let password = accounts::one_time_password();
    let login = accounts::normal_login(&request.login);
    match account_changes::reset_from_shell(&db, &login, &password).await? {
        ShellReset::Done => {}
        ShellReset::NoAccount => {
            bail!("there is no account with the login {login}; create-user makes one")
        }
        ShellReset::Erased => bail!(
            "who {login} was is erased for the law, and the account lets nobody in any more; create-user makes another"
        ),
    }
    println!("{login} is signed out everywhere and can sign in, within a day, with this");
    println!("One-time password: {password}");
    Ok(())
}
