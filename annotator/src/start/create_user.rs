//! `annotator create-user`.

use crate::{
    config::CreateUserConfig,
    database,
    people::{account_changes, accounts, accounts::NewAccount},
    web::{
        form::FieldErrors,
        typed::{MAX_NAME, MAX_PASSWORD},
    },
};
use anyhow::{bail, ensure};

/// Creates the account. Without `--password-stdin` the password is a fresh one, printed.
pub async fn run(request: CreateUserConfig) -> anyhow::Result<()> {
    ensure!(
        accounts::is_login(&request.login),
        "a login has letters, digits and .-_@+ only, 100 at the most"
    );
    let mut mistakes = FieldErrors::default();
    let display_name = mistakes.line("name", &request.name, MAX_NAME);
    ensure!(!display_name.is_empty(), "--name: say what others are to call this person");
    if let Some(mistake) = mistakes.of("name") {
        bail!("--name: {mistake}");
    }
    let (password, is_one_time) = if request.password_stdin {
        (read_password()?, false)
    } else {
        (accounts::one_time_password(), true)
    };
    let db = database::open(&request.storage).await?;
    if accounts::find_by_login(&db, &request.login).await?.is_some() {
        bail!(
            "there is already an account with the login {}",
            accounts::normal_login(&request.login)
        );
    }
    let account = NewAccount {
        login: request.login,
        display_name,
        password_hash: accounts::hash_password(password.clone()).await?,
        is_admin: request.admin,
        password_is_one_time: is_one_time,
    };
    let login = account_changes::create_from_shell(&db, account).await?;
    println!("Created {login}");
    if is_one_time {
        println!("One-time password: {password}");
        println!("It signs in for a week; another is chosen under Settings.");
    }
    Ok(())
}

fn read_password() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    let n_letters = password.chars().count();
    ensure!(
        n_letters >= accounts::MIN_PASSWORD_LENGTH,
        "a password has at least {} characters",
        accounts::MIN_PASSWORD_LENGTH
    );
    ensure!(n_letters <= MAX_PASSWORD, "a password has at most {MAX_PASSWORD} characters");
    Ok(password)
}
