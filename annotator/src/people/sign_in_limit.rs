//! How often somebody may try a password. Strangers are counted by login and address, by login, by
//! address and all together, so that neither one machine nor many can guess on and on. Whoever signed
//! in at this browser before, or is signed in, has a count of their own: no stranger can use it up,
//! and so none can lock a person out.

use crate::web::error::AppError;
use entity::ids::AccountId;
use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter, clock::DefaultClock,
};
use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

/// Above this many logins or addresses, those who have been quiet are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// How many attempts pass between two looks for those who have been quiet.
const TIDIED_EVERY: usize = 1_000;

/// So many attempts at once, then one per so many milliseconds.
fn quota(burst: u32, then_every_ms: u64) -> Quota {
    let burst = NonZeroU32::new(burst).expect("a burst is not 0");
    Quota::with_period(Duration::from_millis(then_every_ms))
        .expect("a period is not 0")
        .allow_burst(burst)
}

/// The network that one stranger usually has for themself: an IPv4 address, or the 64 bits of an
/// IPv6 address that are given to a household.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct AddressBlock(IpAddr);

impl AddressBlock {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
            }
            address => address,
        })
    }
}

/// Counts attempts by a key, and forgets keys that have been quiet.
struct KeyedCount<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    n_attempts: AtomicUsize,
}

impl<K: Hash + Eq + Clone> KeyedCount<K> {
    fn new(quota: Quota) -> Self {
        let limiter = RateLimiter::dashmap_with_clock(quota, DefaultClock::default());
        Self { limiter, n_attempts: AtomicUsize::new(0) }
    }

    fn attempt(&self, key: &K) -> Result<(), AppError> {
        let is_time = self.n_attempts.fetch_add(1, Relaxed).is_multiple_of(TIDIED_EVERY);
        if is_time && self.limiter.len() > MAX_REMEMBERED {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|_| AppError::TooManyAttempts)
    }
}

/// Who tries a password.
#[derive(Clone, Copy, Debug)]
pub enum PasswordAttempt<'a> {
    /// Somebody at a browser that was signed in on as this person before, or is; with that browser's
    /// number.
    Known(AccountId, &'a str),
    /// Anybody: the login that they typed, in its normal form, and where they are.
    Stranger(&'a str, Option<IpAddr>),
}

/// The counts of one process.
pub struct SignInLimit {
    known: KeyedCount<(AccountId, String)>,
    block: KeyedCount<Option<AddressBlock>>,
    login_and_block: KeyedCount<(String, Option<AddressBlock>)>,
    login: KeyedCount<String>,
    all: DefaultDirectRateLimiter,
}

impl SignInLimit {
    #[expect(clippy::new_without_default, reason = "one limit per process, not a value")]
    pub fn new() -> Self {
        Self {
            known: KeyedCount::new(quota(20, 3_000)),
            // An office behind one address signs in at nine.
            block: KeyedCount::new(quota(1_000, 500)),
            login_and_block: KeyedCount::new(quota(20, 3_000)),
            login: KeyedCount::new(quota(100, 1_000)),
            all: RateLimiter::direct(quota(2_000, 50)),
        }
    }

    /// Counts an attempt, or refuses it. The widest counts come last, so that who is over their own
    /// takes nothing from others; a login is remembered only of whose address still may.
    pub fn attempt(&self, attempt: PasswordAttempt<'_>) -> Result<(), AppError> {
        let (login, address) = match attempt {
            PasswordAttempt::Known(account, browser) => {
                return self.known.attempt(&(account, browser.to_owned()));
            }
            PasswordAttempt::Stranger(login, address) => (login, address),
        };
        let block = address.map(AddressBlock::of);
        self.block.attempt(&block)?;
        self.login_and_block.attempt(&(login.to_owned(), block))?;
        self.login.attempt(&login.to_owned())?;
        self.all.check().map_err(|_| AppError::TooManyAttempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    fn n_allowed(
        limit: &SignInLimit,
        login: &str,
        addresses: impl Iterator<Item = String>,
    ) -> usize {
        let attempt =
            |address: String| limit.attempt(PasswordAttempt::Stranger(login, at(&address)));
        addresses.filter(|address| attempt(address.clone()).is_ok()).count()
    }

    #[test]
    fn attempts_are_limited_per_login_and_address() {
        let limit = SignInLimit::new();
        let here = || std::iter::repeat_n("10.0.0.1".to_owned(), 30);
        assert_eq!(n_allowed(&limit, "anna", here()), 20);
        assert_eq!(n_allowed(&limit, "boris", here()), 20);
        assert_eq!(n_allowed(&limit, "anna", std::iter::once("10.0.0.2".to_owned())), 1);
    }

    #[test]
    fn the_addresses_of_one_household_are_one() {
        let limit = SignInLimit::new();
        let household = (0..30).map(|n| format!("2001:db8:0:1::{n:x}"));
        assert_eq!(n_allowed(&limit, "anna", household), 20);
        assert_eq!(n_allowed(&limit, "anna", std::iter::once("2001:db8:0:2::1".to_owned())), 1);
        let mapped = (0..30).map(|_| "::ffff:10.0.0.1".to_owned());
        assert_eq!(n_allowed(&limit, "clara", mapped), 20);
        assert_eq!(n_allowed(&limit, "clara", std::iter::once("10.0.0.1".to_owned())), 0);
    }

    #[test]
    fn one_login_cannot_be_guessed_from_everywhere() {
        let limit = SignInLimit::new();
        let everywhere = (0..300).map(|n| format!("10.0.{}.{}", n / 250, n % 250));
        assert_eq!(n_allowed(&limit, "anna", everywhere), 100);
    }

    #[test]
    fn no_stranger_locks_a_known_person_out() {
        let limit = SignInLimit::new();
        for n in 0..5_000 {
            let address = at(&format!("10.1.{}.{}", n / 250, n % 250));
            let _ = limit.attempt(PasswordAttempt::Stranger("anna", address));
            let _ = limit.attempt(PasswordAttempt::Stranger(&format!("made-up-{n}"), address));
        }
        let address = at("10.0.0.1");
        assert!(limit.attempt(PasswordAttempt::Stranger("anna", address)).is_err());
        assert!(limit.attempt(PasswordAttempt::Stranger("boris", address)).is_err());
        let anna = AccountId::new();
        for _ in 0..20 {
            assert!(limit.attempt(PasswordAttempt::Known(anna, "1")).is_ok());
        }
        assert!(limit.attempt(PasswordAttempt::Known(anna, "1")).is_err());
    }
}
