//! `annotator reset-password`: the way back in for an administrator whom nobody else can let in.

use crate::{
    config::ResetPasswordConfig,
    database,
    people::{account_changes, accounts},
};
use anyhow::ensure;

/// Prints a one-time password; every session of the account ends.
pub async fn run(request: ResetPasswordConfig) -> anyhow::Result<()> {
    let db = database::open_existing(&request.storage).await?;
    let password = accounts::one_time_password();
    let login = accounts::normal_login(&request.login);
    ensure!(
        account_changes::reset_from_shell(&db, &login, &password).await?,
        "there is no account with the login {login}; create-user makes one"
    );
    println!("{login} is signed out everywhere and can sign in, within a day, with this");
    println!("One-time password: {password}");
    Ok(())
}
