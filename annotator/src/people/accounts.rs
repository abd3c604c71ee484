//! Accounts and their passwords: see [`crate::people::password_hashing`] for what hashing costs.

use crate::{
    people::{
        password_hashing::{self, PasswordSender},
        person_name::PersonName,
    },
    web::{
        error::AppError,
        typed::{MAX_NAME, MAX_PASSWORD},
    },
};
use entity::{
    account,
    erasure::{self, ErasureKind},
    ids::AccountId,
    time::UnixMillis,
};
use rand::distr::{SampleString, slice::Choose};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, Select,
    sea_query::{LockType, OnConflict},
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use storage::{
    lookup::find_among,
    storable::{composed, stored_forms},
};

/// Fewer characters are refused; nothing else is asked of a password.
pub const MIN_PASSWORD_LENGTH: usize = 10;

/// How long a one-time password signs its person in.
const ONE_TIME_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// A PHC string, made off the request threads.
pub async fn hash_password(password: String) -> Result<String, AppError> {
    Ok(password_hashing::hash(PasswordSender::Known, password).await?)
}

/// A password that is easy to read aloud and to type: 60 random bits without look-alike letters.
pub fn one_time_password() -> String {
    const LETTERS: &[char] = &[
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'u',
        'v', 'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7', '8', '9',
    ];
    let letters = Choose::new(LETTERS).expect("there are letters");
    let mut rng = rand::rng();
    let groups: Vec<String> = (0..3).map(|_| letters.sample_string(&mut rng, 4)).collect();
    groups.join("-")
}

/// The account of that login and password, or none. Takes as long for an unknown login. What cannot
/// be a login or a password costs nothing.
pub async fn authenticate(
    db: &impl ConnectionTrait,
    sender: PasswordSender,
    login: &str,
    password: String,
) -> Result<Option<account::Model>, AppError> {
    if !is_login(login) || password.chars().count() > MAX_PASSWORD {
        return Ok(None);
    }
    let account = find_by_login(db, login).await?.filter(|account| account.disabled_at.is_none());
    // Who has no password yet costs as much time as who does not exist.
    let stored = account.as_ref().map(|account| account.password_hash.clone());
    let stored = stored.filter(|hash| !hash.is_empty());
    let is_right = password_hashing::matches(sender, password, stored).await?;
    Ok(account.filter(|_| is_right))
}

/// Logins are compared in lower case and composed; some were stored as they were typed.
pub async fn find_by_login(
    db: &impl ConnectionTrait,
    login: &str,
) -> Result<Option<account::Model>, DbErr> {
    if !is_login(login) {
        return Ok(None);
    }
    let login = normal_login(login);
    let alike = account::Column::Login.is_in(stored_forms(&login));
    let mut found = account::Entity::find().filter(alike).all(db).await?;
    found.sort_by_key(|account| account.login != login);
    Ok(found.into_iter().next())
}

/// Whether somebody is still who they were, and stays so until this transaction ends: of who was
/// erased for the law nothing is made again. False too when there is no such account.
pub async fn hold_unerased(turn: &impl ConnectionTrait, id: AccountId) -> Result<bool, DbErr> {
    let held = account::Entity::find_by_id(id).lock(LockType::NoKeyUpdate).one(turn).await?;
    let erased = of_erased_people().filter(erasure::Column::Subject.eq(id.to_string()));
    Ok(held.is_some() && erased.one(turn).await?.is_none())
}

/// Those who were erased.
pub async fn erased(db: &impl ConnectionTrait) -> Result<HashSet<AccountId>, DbErr> {
    let people = of_erased_people().all(db).await?;
    Ok(people.iter().filter_map(|erasure| erasure.subject.parse().ok()).collect())
}

fn of_erased_people() -> Select<erasure::Entity> {
    erasure::Entity::find().filter(erasure::Column::Kind.eq(ErasureKind::Account))
}

/// What people are called, by the ids of their accounts.
pub async fn names(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = AccountId>,
) -> Result<HashMap<AccountId, PersonName>, DbErr> {
    let people = find_among(db, account::Entity::find(), account::Column::Id, ids).await?;
    Ok(people.iter().map(|account| (account.id, PersonName::of(account))).collect())
}

/// What one person is called; None for nobody.
pub async fn name(
    db: &impl ConnectionTrait,
    id: Option<AccountId>,
) -> Result<Option<PersonName>, DbErr> {
    Ok(names(db, id).await?.into_values().next())
}

pub fn normal_login(login: &str) -> String {
    composed(&login.trim().to_lowercase()).into_owned()
}

/// The most bytes that a login of a hundred letters can have.
const MAX_LOGIN_BYTES: usize = 400;

/// Letters, digits and `.-_@+`: a login is typed, sorted and put into addresses.
pub fn is_login(login: &str) -> bool {
    // Looked at first: what a stranger sends as a login may be of any size.
    if login.len() > MAX_LOGIN_BYTES {
        return false;
    }
    let login = normal_login(login);
    let allowed = |letter: char| letter.is_alphanumeric() || ".-_@+".contains(letter);
    !login.is_empty() && login.chars().count() <= MAX_NAME && login.chars().all(allowed)
}

/// Someone who does not exist yet.
#[derive(Clone)]
pub struct NewAccount {
    pub login: String,
    pub display_name: String,
    pub password_hash: String,
    pub is_admin: bool,
    /// Given by another person, so it should be replaced.
    pub password_is_one_time: bool,
}

/// Stores the account. A login that is taken is the database's unique error.
pub async fn create_account(
    db: &impl ConnectionTrait,
    new: NewAccount,
) -> Result<account::Model, DbErr> {
    row_of(new).insert(db).await
}

/// Stores the account; None when the login is taken.
pub async fn create_unless_taken(
    db: &impl ConnectionTrait,
    new: NewAccount,
) -> Result<Option<account::Model>, DbErr> {
    // A login of an older version may be stored as somebody typed it, which the index tells apart.
    if find_by_login(db, &new.login).await?.is_some() {
        return Ok(None);
    }
    let row = row_of(new);
    let id = row.id.clone().unwrap();
    let taken = OnConflict::column(account::Column::Login).do_nothing().to_owned();
    account::Entity::insert(row).on_conflict(taken).exec_without_returning(db).await?;
    account::Entity::find_by_id(id).one(db).await
}

fn row_of(new: NewAccount) -> account::ActiveModel {
    let now = UnixMillis::now();
    account::ActiveModel {
        id: Set(AccountId::new()),
        login: Set(normal_login(&new.login)),
        display_name: Set(new.display_name.trim().to_owned()),
        password_hash: Set(new.password_hash),
        password_is_one_time: Set(new.password_is_one_time),
        is_admin: Set(new.is_admin),
        language: Set(None),
        created_at: Set(now),
        disabled_at: Set(None),
        stamp: Set(0),
        password_expires_at: Set(new.password_is_one_time.then(|| now.plus(ONE_TIME_LIFETIME))),
    }
}

/// Whether this is a one-time password whose time is over.
pub fn has_lapsed(account: &account::Model) -> bool {
    account.password_expires_at.is_some_and(|until| until <= UnixMillis::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_short_and_typed_easily() {
        assert!(is_login("Анна.К@example"));
        assert_eq!(normal_login(" СЕРГЕИ\u{306} "), "сергей");
        assert!(is_login("Сергеи\u{306}"));
        assert!(!is_login(" "));
        assert!(!is_login("two words"));
        assert!(!is_login(&"a".repeat(101)));
        assert!(!is_login(&" ".repeat(1 << 20)));
    }

    #[test]
    fn one_time_passwords_differ_and_are_long_enough() {
        let password = one_time_password();
        assert!(password.len() >= MIN_PASSWORD_LENGTH);
        assert_ne!(password, one_time_password());
    }
}
